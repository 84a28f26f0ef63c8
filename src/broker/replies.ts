import type { LogIndex, Term } from '../raft/types.ts'
import { FlotillaError } from '../wire/errors.ts'
import { assert } from './assert.ts'

/** Who waits for the outcome of a command. `done` is called exactly once. */
export interface Reply<Result> {
  /** On Clock.nowMs: after this the caller no longer waits. */
  readonly deadlineMs: number
  readonly done: (outcome: Result | FlotillaError) => void
}

/** An outcome that holds once what it rests on is committed; an error where that is what the commit confirms. */
export interface Provisional<Result> {
  readonly reply: Reply<Result>
  readonly result: Result | FlotillaError
}

interface Waiting<Result> {
  readonly index: LogIndex
  readonly term: Term
  readonly replies: (Provisional<Result> & { answered: boolean })[]
}

/**
 * Answers that wait until their entry is committed and folded. An entry that was proposed in a term and is committed
 * in the same term is that entry (one leader a term), so index and term tell it.
 */
export class PendingReplies<Result> {
  #waiting: Waiting<Result>[] = []

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Answers with `result` once the entry at `index` is folded. Indexes come in ascending order. */
  add(index: LogIndex, term: Term, replies: readonly Provisional<Result>[]): void {
    const last = this.#waiting.at(-1)
    assert(last === undefined || index >= last.index, 'replies.ascending')
    this.#waiting.push({
      index,
      term,
      replies: replies.map(({ reply, result }) => ({ reply, result, answered: false })),
    })
  }

  /** The entry at `index`, committed with `term`, is folded, and so is all before it. */
  folded(index: LogIndex, term: Term): void {
    let count = 0
    for (const waiting of this.#waiting) {
      if (waiting.index > index) break
      count += 1
      const committed = waiting.index === index && waiting.term === term
      for (const each of waiting.replies) {
        if (each.answered) continue
        each.answered = true
        each.reply.done(committed ? each.result : superseded())
      }
    }
    if (count > 0) this.#waiting.splice(0, count)
  }

  /** Leadership or storage is lost: whether the entries will be committed is no longer known here. */
  failAll(error: () => FlotillaError): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { replies } of waiting) {
      for (const each of replies) if (!each.answered) each.reply.done(error())
    }
  }

  /** Answers those whose time is over; their entries may still be committed. */
  expire(nowMs: number): void {
    for (const { replies } of this.#waiting) {
      for (const each of replies) {
        if (each.answered || each.reply.deadlineMs > nowMs) continue
        each.answered = true
        each.reply.done(outOfTime())
      }
    }
  }
}

function superseded(): FlotillaError {
  return new FlotillaError(
    'NOT_LEADER',
    'another leader took over before the entry was replicated; nothing was appended',
  )
}

function outOfTime(): FlotillaError {
  return new FlotillaError(
    'UNKNOWN_OUTCOME',
    'no majority of the replicas confirmed the entry before the deadline; it may yet be committed',
  )
}
