import type { IndexPoint } from '../log/types.ts'
import type { Draft, Entry, ProposeResult, Snapshot, Term } from '../raft/types.ts'
import type { FlotillaError } from '../wire/errors.ts'

/**
 * What a replica folds its log into, and how its leader decides. The leader turns a command into an event or refuses
 * it; only events enter the log, and folding one can't fail. All calls are synchronous.
 */
export interface StateMachine {
  /** Folds a committed event. */
  apply(entry: Entry): void
  /** Everything handed to `apply` in this turn is folded: wake those who wait for it. */
  applied(last: Entry): void
  /** Replaces the folded state. */
  restore(snapshot: Snapshot): void
  encode(): Uint8Array
  /** Signposts of what was folded since the last call. */
  takeIndexPoints(): readonly IndexPoint[]

  /** This replica leads in `term` and has folded all that is committed: decisions may begin. */
  lead(term: Term): void
  /** It leads no longer (or storage failed): the speculative view is dropped and `error` is what those who wait get. */
  follow(error: () => FlotillaError): void
  /** Whether commands wait for a decision. */
  hasCommands(): boolean
  /**
   * Decides on what waits, as much as fits one entry, and proposes it. Called only between `lead` and `follow`. Where
   * the proposal isn't taken, the view is dropped and `lead` is called again before the next decision.
   */
  decide(propose: (draft: Draft) => ProposeResult): void
  /** Once a tick: answers commands whose deadline has passed. */
  expire(nowMs: number): void
}
