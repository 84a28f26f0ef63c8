import { FlotillaError } from '../../../src/wire/errors.ts'
import type { StateMachine } from '../../../src/broker/state-machine.ts'
import { chain } from '../../../src/raft/index.ts'
import {
  asDigest,
  asLogIndex,
  asTerm,
  type Draft,
  type Entry,
  type ProposeResult,
  type Term,
} from '../../../src/raft/types.ts'

type Refusal = Extract<ProposeResult, { ok: false }>['reason']

/** Stands for the consensus core: takes proposals as the test says, and commits them when the test says. */
export class ScriptedLog {
  readonly entries: Entry[] = []
  refusal: Refusal | undefined
  term: Term = asTerm(1)
  committed = 0

  readonly propose = (draft: Draft): ProposeResult => {
    if (this.refusal !== undefined) return { ok: false, reason: this.refusal }
    const fields = {
      ...draft,
      index: asLogIndex(this.entries.length + 1),
      term: this.term,
      kind: 'event' as const,
    }
    const digest = chain(this.entries.at(-1)?.digest ?? asDigest(0n), fields)
    this.entries.push({ ...fields, digest })
    return { ok: true, index: fields.index, term: fields.term }
  }

  /** Folds all that was proposed, or `count` entries of it. */
  commit(machine: StateMachine, count = Infinity): void {
    const to = Math.min(this.entries.length, this.committed + count)
    const entries = this.entries.slice(this.committed, to)
    this.committed = to
    for (const entry of entries) machine.apply(entry)
    const last = entries.at(-1)
    if (last !== undefined) machine.applied(last)
  }
}

/** One that waits for an outcome, and how often it got one. */
export class Waiter<Result> {
  readonly deadlineMs: number
  readonly outcomes: (Result | FlotillaError)[] = []
  constructor(deadlineMs = 1_000_000) {
    this.deadlineMs = deadlineMs
  }
  readonly done = (outcome: Result | FlotillaError): void => {
    this.outcomes.push(outcome)
  }
  get isWaiting(): boolean {
    return this.outcomes.length === 0
  }
  /** Reason and effect of its error; undefined while it waits or where it got a result. */
  get failure(): string | undefined {
    const [outcome] = this.outcomes
    return outcome instanceof FlotillaError ? `${outcome.reason}/${outcome.effect}` : undefined
  }
  get result(): Result {
    const [outcome] = this.outcomes
    if (this.outcomes.length !== 1 || outcome === undefined || outcome instanceof FlotillaError)
      throw new Error(`wanted one result, got ${this.outcomes.length}: ${String(outcome)}`)
    return outcome
  }
}
