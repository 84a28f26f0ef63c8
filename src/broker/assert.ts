/** A broken invariant: a fault in Flotilla itself. `id` names the assertion that fired. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
  readonly id: string
  constructor(id: string, detail: string) {
    super(`assertion ${id} failed${detail === '' ? '' : `: ${detail}`}`)
    this.id = id
  }
}

/** Stays on in production: going on with a broken invariant is worse than stopping. */
export function assert(condition: boolean, id: string, detail = ''): asserts condition {
  if (!condition) throw new AssertionError(id, detail)
}
