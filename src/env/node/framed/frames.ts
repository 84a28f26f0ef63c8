/**
 * Server streams between nodes in plain frames on a TCP connection each, in place of HTTP/2, whose frames of 16 KiB and
 * windows cost more than all that a follower does with the bytes (docs/performance.md has the figures).
 *
 *   connection = PREFACE frames
 *   frame      = length of the body (4 bytes, big-endian), type (1 byte), body
 *
 *   caller      request(path, message)   ping …
 *   server      message …                pong …       end | error(status)
 *
 * Frames share the listener's port with gRPC: an HTTP/2 connection begins with `PRI * HTTP/2.0` (RFC 9113 §3.4), this
 * one with PREFACE. TCP's window is the flow control; the end of the connection is the end of the call.
 */
import { RpcError, StatusCode } from '../../network.ts'

export const PREFACE = Buffer.from('FLOTILLA')
export const HEAD_BYTES = 5

export const FrameType = { request: 1, message: 2, end: 3, error: 4, ping: 5, pong: 6 } as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

const isFrameType = (type: number): type is FrameType => type >= FrameType.request && type <= FrameType.pong

/** The frame without its body, which follows as it is. */
export function frameHead(type: FrameType, bodyBytes: number): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  head.writeUInt32BE(bodyBytes, 0)
  head.writeUInt8(type, 4)
  return head
}

export function encodeFrame(type: FrameType, body: Uint8Array = new Uint8Array(0)): Buffer {
  return Buffer.concat([frameHead(type, body.byteLength), body])
}

export interface RequestFrame {
  readonly path: string
  readonly message: Uint8Array
}

export function encodeRequest({ path, message }: RequestFrame): Buffer {
  const name = Buffer.from(path)
  const nameBytes = Buffer.allocUnsafe(2)
  nameBytes.writeUInt16BE(name.length)
  return encodeFrame(FrameType.request, Buffer.concat([nameBytes, name, message]))
}

/** Throws RpcError on a body that is too short. */
export function decodeRequest(body: Buffer): RequestFrame {
  const end = 2 + (body.length < 2 ? 0 : body.readUInt16BE(0))
  if (body.length < end) throw malformed(`a request of ${body.length} bytes, whose path alone takes ${end}`)
  return { path: body.toString('utf8', 2, end), message: body.subarray(end) }
}

export function encodeError({ code, message, details }: RpcError): Buffer {
  const text = Buffer.from(message)
  const head = Buffer.allocUnsafe(6)
  head.writeUInt8(code, 0)
  head.writeUInt8(details === undefined ? 0 : 1, 1)
  head.writeUInt32BE(text.length, 2)
  return encodeFrame(FrameType.error, Buffer.concat([head, text, details ?? new Uint8Array(0)]))
}

/** Throws RpcError on a body that is too short or has no known status. */
export function decodeError(body: Buffer): RpcError {
  const end = 6 + (body.length < 6 ? 0 : body.readUInt32BE(2))
  if (body.length < end) throw malformed(`an error of ${body.length} bytes, whose text alone takes ${end}`)
  const code = body.readUInt8(0)
  if (!isStatusCode(code)) throw malformed(`an error with the unknown status ${code}`)
  const details = body.readUInt8(1) === 1 ? { details: body.subarray(end) } : {}
  return new RpcError(code, body.toString('utf8', 6, end), details)
}

const statusCodes: readonly number[] = Object.values(StatusCode)
const isStatusCode = (code: number): code is StatusCode =>
  code !== StatusCode.ok && statusCodes.includes(code)

const malformed = (what: string): RpcError =>
  new RpcError(StatusCode.internal, `malformed frame between nodes: ${what}`)

/** Cuts frames out of the chunks of a connection. Pure. */
export class FrameReader {
  readonly #maxBodyBytes: number
  readonly #onFrame: (type: FrameType, body: Buffer) => void
  readonly #head = Buffer.alloc(HEAD_BYTES)
  #headBytes = 0
  #type: FrameType | undefined
  #body = Buffer.alloc(0)
  #bodyBytes = 0

  constructor(maxBodyBytes: number, onFrame: (type: FrameType, body: Buffer) => void) {
    this.#maxBodyBytes = maxBodyBytes
    this.#onFrame = onFrame
  }

  /** Keeps nothing of `chunk`. Throws RpcError on a frame of no known type or over the limit; then no more may come. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.byteLength) {
      at += this.#type === undefined ? this.#takeHead(chunk, at) : this.#takeBody(chunk, at)
      if (this.#type !== undefined && this.#bodyBytes === this.#body.length) this.#finish(this.#type)
    }
  }

  #takeHead(chunk: Uint8Array, at: number): number {
    const taken = Math.min(HEAD_BYTES - this.#headBytes, chunk.byteLength - at)
    this.#head.set(chunk.subarray(at, at + taken), this.#headBytes)
    this.#headBytes += taken
    if (this.#headBytes === HEAD_BYTES) this.#begin()
    return taken
  }

  #begin(): void {
    const bytes = this.#head.readUInt32BE(0)
    const type = this.#head.readUInt8(4)
    if (!isFrameType(type)) throw malformed(`type ${type}`)
    if (bytes > this.#maxBodyBytes) {
      const text = `a message of ${bytes} bytes passes the limit of ${this.#maxBodyBytes}`
      throw new RpcError(StatusCode.resourceExhausted, text)
    }
    this.#headBytes = 0
    this.#type = type
    // Not from Node's pool: entries that lie in it may stay long, and would keep their neighbours.
    this.#body = bytes > POOLED_BYTES ? Buffer.allocUnsafeSlow(bytes) : Buffer.allocUnsafe(bytes)
    this.#bodyBytes = 0
  }

  #takeBody(chunk: Uint8Array, at: number): number {
    const taken = Math.min(this.#body.length - this.#bodyBytes, chunk.byteLength - at)
    this.#body.set(chunk.subarray(at, at + taken), this.#bodyBytes)
    this.#bodyBytes += taken
    return taken
  }

  #finish(type: FrameType): void {
    const body = this.#body
    this.#type = undefined
    this.#body = Buffer.alloc(0)
    this.#bodyBytes = 0
    this.#onFrame(type, body)
  }
}

const POOLED_BYTES = 1024
