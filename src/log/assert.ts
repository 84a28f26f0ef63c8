/** A broken invariant: a fault in Flotilla itself, in the log or in who calls it. `id` names the assertion that fired. */
export class LogAssertionError extends Error {
  override readonly name = 'LogAssertionError'
  readonly id: string
  constructor(id: string, detail: string) {
    super(`assertion ${id} failed: ${detail}`)
    this.id = id
  }
}

/**
 * Stays on in production: a log that goes on with a broken invariant writes the breach to disk. Bytes that aren't what was
 * written are no such thing: those are damage, and told as such. `detail` is only called on failure.
 */
export function assert(condition: boolean, id: string, detail: () => string): asserts condition {
  if (!condition) throw new LogAssertionError(id, detail())
}
