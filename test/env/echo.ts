import type { Codec, Logger, RpcMethod } from '../../src/env/index.ts'

const bytes: Codec<Uint8Array> = { encode: (message) => message, decode: (encoded) => encoded }
const text: Codec<string> = {
  encode: (message) => Buffer.from(message),
  decode(encoded) {
    if (encoded[0] === 0xff) throw new Error('0xff is no text')
    return Buffer.from(encoded).toString()
  },
}

export const echo: RpcMethod<string, string, 'unary'> = {
  path: '/test.Echo/Echo',
  kind: 'unary',
  request: text,
  response: text,
}
/** The same call for a caller that sends what it likes. */
export const rawEcho: RpcMethod<Uint8Array, string, 'unary'> = { ...echo, request: bytes }
export const flood: RpcMethod<string, Uint8Array, 'serverStream'> = {
  path: '/test.Echo/Flood',
  kind: 'serverStream',
  request: text,
  response: bytes,
}
export const rawFlood: RpcMethod<Uint8Array, Uint8Array, 'serverStream'> = { ...flood, request: bytes }
export const talk: RpcMethod<string, string, 'duplex'> = {
  path: '/test.Echo/Talk',
  kind: 'duplex',
  request: text,
  response: text,
}
export const rawTalk: RpcMethod<Uint8Array, string, 'duplex'> = { ...talk, request: bytes }

/** Keeps what is logged as a fault. */
export class RecordingLogger implements Logger {
  readonly faults: { readonly fields: object; readonly message: string }[] = []
  debug(): void {}
  info(): void {}
  warn(): void {}
  error(fields: object, message: string): void {
    this.faults.push({ fields, message })
  }
  child(): Logger {
    return this
  }
}

/** Everything that a call told its receiver. */
export class Recorder<T> {
  readonly messages: T[] = []
  ended = false
  readonly closed: Promise<Error | undefined>
  readonly #close: (error: Error | undefined) => void
  #wanted: { readonly count: number; readonly resolve: () => void } | undefined

  constructor() {
    let close!: (error: Error | undefined) => void
    this.closed = new Promise((resolve) => (close = resolve))
    this.#close = close
  }
  onMessage(message: T): void {
    this.messages.push(message)
    if (this.#wanted !== undefined && this.messages.length >= this.#wanted.count) this.#wanted.resolve()
  }
  onEnd(): void {
    this.ended = true
  }
  onClose(error: Error | undefined): void {
    this.#close(error)
  }
  received(count: number): Promise<void> {
    if (this.messages.length >= count) return Promise.resolve()
    return new Promise((resolve) => (this.#wanted = { count, resolve }))
  }
}
