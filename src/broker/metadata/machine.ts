import { crc32 } from 'node:zlib'
import type { Clock } from '../../env/index.ts'
import type { IndexPoint } from '../../log/types.ts'
import type { Draft, Entry, LogIndex, ProposeResult, Snapshot, Term } from '../../raft/types.ts'
import { FlotillaError } from '../../wire/errors.ts'
import { assert } from '../assert.ts'
import { PendingReplies, type Reply } from '../replies.ts'
import type { StateMachine } from '../state-machine.ts'
import { decideMetadata, type MetadataCommand, type MetadataLimits, type MetadataResult } from './decide.ts'
import { METADATA_HEADER, decodeEvent, encodeEvent, type MetadataEvent } from './events.ts'
import { MetadataState } from './state.ts'

interface Queued {
  readonly command: MetadataCommand
  readonly reply: Reply<MetadataResult>
}

/** Commands that wait for a decision; more are refused. */
const MAX_QUEUED = 1000

/** The state machine of the metadata group. */
export class MetadataMachine implements StateMachine {
  readonly #clock: Clock
  readonly #limits: MetadataLimits
  readonly #onChange: (event: MetadataEvent | undefined) => void
  #state: MetadataState
  #view: MetadataState | undefined
  #queue: Queued[] = []
  readonly #replies = new PendingReplies<MetadataResult>()
  #lastProposed: { readonly index: LogIndex; readonly term: Term } | undefined

  /** `onChange` is called after an event was folded, or with undefined after the whole state was replaced. */
  constructor(
    clock: Clock,
    limits: MetadataLimits,
    state: Uint8Array,
    onChange: (event: MetadataEvent | undefined) => void,
  ) {
    this.#clock = clock
    this.#limits = limits
    this.#state = MetadataState.decode(state)
    this.#onChange = onChange
  }

  /** What is folded. Not to be changed. */
  get state(): MetadataState {
    return this.#state
  }

  submit(command: MetadataCommand, reply: Reply<MetadataResult>): void {
    if (this.#queue.length >= MAX_QUEUED) {
      reply.done(
        new FlotillaError('THROTTLED', `${MAX_QUEUED} changes of the cluster wait already`, {
          retryDelayMs: 500,
        }),
      )
      return
    }
    this.#queue.push({ command, reply })
  }

  hasCommands(): boolean {
    return this.#queue.length > 0
  }

  lead(_term: Term): void {
    this.#view = this.#state.clone()
    this.#lastProposed = undefined
  }

  follow(error: () => FlotillaError): void {
    this.#view = undefined
    this.#replies.failAll(error)
    const queue = this.#queue
    this.#queue = []
    for (const { reply } of queue) reply.done(notLeader())
  }

  /** One command at a time: they are rare, and each is an event of its own in the log. */
  decide(propose: (draft: Draft) => ProposeResult): void {
    while (this.#view !== undefined) {
      const next = this.#queue.shift()
      if (next === undefined) return
      this.#decideOne(this.#view, next, propose)
    }
  }

  #decideOne(
    view: MetadataState,
    { command, reply }: Queued,
    propose: (draft: Draft) => ProposeResult,
  ): void {
    const decision = decideChecked(view, command, this.#clock.wallMs(), this.#limits)
    switch (decision.type) {
      case 'refused':
        reply.done(decision.error)
        break
      case 'answer':
        // What it rests on may not be committed yet.
        if (this.#replies.isEmpty || this.#lastProposed === undefined) reply.done(decision.result)
        else
          this.#replies.add(this.#lastProposed.index, this.#lastProposed.term, [
            { reply, result: decision.result },
          ])
        break
      case 'event': {
        const payload = encodeEvent(decision.event)
        const result = propose({
          header: METADATA_HEADER,
          payload: [payload],
          payloadBytes: payload.byteLength,
          payloadCrc32: crc32(payload),
        })
        if (!result.ok) {
          this.#view = undefined
          reply.done(notLeader())
          return
        }
        view.fold(decision.event)
        this.#lastProposed = { index: result.index, term: result.term }
        this.#replies.add(result.index, result.term, [{ reply, result: decision.result }])
        break
      }
    }
  }

  expire(nowMs: number): void {
    this.#replies.expire(nowMs)
    const expired = this.#queue.filter(({ reply }) => reply.deadlineMs <= nowMs)
    if (expired.length === 0) return
    this.#queue = this.#queue.filter(({ reply }) => reply.deadlineMs > nowMs)
    for (const { reply } of expired) {
      reply.done(
        new FlotillaError(
          'NO_QUORUM',
          'the metadata group could not decide before the deadline; nothing was changed',
        ),
      )
    }
  }

  apply(entry: Entry): void {
    const event = decodeEvent(entry.header, entry.payload)
    this.#state.fold(event)
    this.#onChange(event)
    this.#replies.folded(entry.index, entry.term)
  }

  applied(last: Entry): void {
    this.#replies.folded(last.index, last.term)
  }

  restore(snapshot: Snapshot): void {
    this.#state = MetadataState.decode(snapshot.state)
    assert(this.#view === undefined, 'metadata.restore-only-when-following')
    this.#onChange(undefined)
  }

  encode(): Uint8Array {
    return this.#state.encode()
  }

  takeIndexPoints(): readonly IndexPoint[] {
    return []
  }
}

/** A rule that throws its error refuses like one that returns it. */
function decideChecked(...args: Parameters<typeof decideMetadata>): ReturnType<typeof decideMetadata> {
  try {
    return decideMetadata(...args)
  } catch (error) {
    if (error instanceof FlotillaError) return { type: 'refused', error }
    throw error
  }
}

function notLeader(): FlotillaError {
  return new FlotillaError('NOT_LEADER', 'this node does not lead the metadata group; nothing was changed')
}
