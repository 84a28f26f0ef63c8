import type { RpcError, Sink } from '../../../src/env/index.ts'

/** A stream's sending half that keeps what it is given, and is full when the test says so. */
export class TestSink<T> implements Sink<T> {
  readonly sent: T[] = []
  /** Sends that are taken before one more says "wait". */
  room = Infinity
  ended = 0
  readonly failures: RpcError[] = []
  #drain: () => void = () => undefined

  send(message: T): boolean {
    if (this.isOver) return true
    this.sent.push(message)
    this.room -= 1
    return this.room > 0
  }
  onDrain(listener: () => void): void {
    this.#drain = listener
  }
  end(): void {
    this.ended += 1
  }
  fail(error: RpcError): void {
    this.failures.push(error)
  }
  get isOver(): boolean {
    return this.ended > 0 || this.failures.length > 0
  }
  drain(room = Infinity): void {
    this.room = room
    this.#drain()
  }
}
