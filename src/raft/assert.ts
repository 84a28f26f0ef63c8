/** A broken invariant. The object that threw it is in an unknown state and must not be used again. */
export class AssertionError extends Error {
  readonly id: string

  constructor(id: string, detail: string | undefined) {
    super(detail === undefined ? `assertion ${id} failed` : `assertion ${id} failed: ${detail}`)
    this.name = 'AssertionError'
    this.id = id
  }
}

/** What `assert` does where its condition is false; for places that run so often that even a closure for `detail` costs. */
export function broken(id: string, detail?: string): never {
  throw new AssertionError(id, detail)
}

/**
 * Stays on in production: a node that goes on after a broken invariant spreads the damage. `id` names the one place;
 * `detail` is only called on failure.
 */
export function assert(condition: boolean, id: string, detail?: () => string): asserts condition {
  if (!condition) throw new AssertionError(id, detail?.())
}
