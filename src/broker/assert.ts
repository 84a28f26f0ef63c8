import { LogAssertionError } from '../log/index.ts'

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

/** Whether it was a broken invariant, of the broker or of the log, and so nothing that a second try would mend. */
export function isBrokenInvariant(error: unknown): error is AssertionError | LogAssertionError {
  return error instanceof AssertionError || error instanceof LogAssertionError
}
