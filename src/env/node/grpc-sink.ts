import type { Writable } from 'node:stream'
import type { Codec } from '../network.ts'
import { asBuffer } from './grpc-status.ts'

/** So many encoded bytes may wait in a stream before its sender is told to stop. */
const MAX_QUEUED_BYTES = 1024 * 1024
/** And so many messages, whose bookkeeping costs more than their bytes. */
const MAX_QUEUED_MESSAGES = 1024

/**
 * The queue between a sender and a grpc-js stream, counted in bytes: grpc-js's own counts messages, whatever their
 * size. A message counts until HTTP/2 has taken it, which it does only as far as the receiver's window allows.
 */
export class SendQueue<T> {
  readonly #stream: Writable
  readonly #codec: Codec<T>
  #queuedBytes = 0
  #queuedMessages = 0
  #waitingForDrain = false
  #closed = false
  #drainListener: (() => void) | undefined

  constructor(stream: Writable, codec: Codec<T>) {
    this.#stream = stream
    this.#codec = codec
  }

  send(message: T): boolean {
    if (this.#closed) return true
    const bytes = asBuffer(this.#codec.encode(message))
    this.#queuedBytes += bytes.length
    this.#queuedMessages++
    this.#stream.write(bytes, () => this.#taken(bytes.length))
    // Whoever was told to stop waits for the drain, also where something small was sent in between.
    if (this.#queuedBytes > MAX_QUEUED_BYTES || this.#queuedMessages > MAX_QUEUED_MESSAGES)
      this.#waitingForDrain = true
    return !this.#waitingForDrain
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener
  }

  /** Half-closes the stream; what is queued still goes. */
  end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stream.end()
  }

  /** The stream is over: what is sent from now on is dropped, and nobody is told to go on. */
  close(): void {
    this.#closed = true
  }

  #taken(byteLength: number): void {
    this.#queuedBytes -= byteLength
    this.#queuedMessages--
    if (!this.#waitingForDrain || this.#closed) return
    if (this.#queuedBytes > MAX_QUEUED_BYTES / 2 || this.#queuedMessages > MAX_QUEUED_MESSAGES / 2) return
    this.#waitingForDrain = false
    this.#drainListener?.()
  }
}
