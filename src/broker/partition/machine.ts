import type { Clock } from '../../env/index.ts'
import type { IndexPoint, Offset } from '../../log/types.ts'
import type { Draft, Entry, LogIndex, ProposeResult, Snapshot, Term } from '../../raft/types.ts'
import { FlotillaError } from '../../wire/errors.ts'
import type { AppendResponse, ProducerIdentity } from '../../wire/messages.ts'
import { assert } from '../assert.ts'
import type { GroupCommand, GroupMark, GroupOutcome } from '../groups/types.ts'
import { PendingReplies, type Provisional, type Reply } from '../replies.ts'
import type { StateMachine } from '../state-machine.ts'
import {
  MAX_BATCHES_PER_ENTRY,
  MAX_GROUP_MARKS_PER_ENTRY,
  decodeRecordsAppended,
  encodeRecordsAppended,
  type BatchMark,
} from './event.ts'
import { JoinedCrc32 } from './joined-crc32.ts'
import { Signposts } from './signposts.ts'
import { PartitionState } from './state.ts'

/** Producers that a partition remembers. Part of the replicated state: the same on every node, so not a setting. */
export const PRODUCERS_PER_PARTITION = 1024

/** A batch that was found well-formed and waits for the leader's decision. */
export interface AppendCommand {
  readonly records: Uint8Array
  readonly recordCount: number
  /** CRC-32 of `records`, where it was checked when they came. */
  readonly recordsCrc32?: number | undefined
  readonly producer: ProducerIdentity | undefined
  /** Logged with the batch or not at all: an effect in this partition and the offset that it came from. */
  readonly commit?: Extract<GroupCommand, { readonly type: 'commit' }> | undefined
  readonly reply: Reply<AppendResponse>
}

/** What is asked for a consumer group. */
export interface GroupRequest {
  readonly command: GroupCommand
  readonly reply: Reply<GroupOutcome>
}

/** Requests for groups that wait for a decision; more are refused. */
const MAX_PENDING_GROUP_REQUESTS = 10_000

export interface PartitionLimits {
  /** Bytes of records in one entry; a single batch may exceed it. */
  readonly maxEntryBytes: number
  /** Bytes of records that wait for a decision, with what each batch costs beside them; more is refused as THROTTLED. */
  readonly maxPendingBytes: number
}

/** The state machine of a data partition. */
export class PartitionMachine implements StateMachine {
  readonly partition: number
  readonly #clock: Clock
  readonly #limits: PartitionLimits
  #state: PartitionState
  #lowOffset: number
  readonly #signposts = new Signposts()
  /** The applied state with the leader's own undecided events folded on top; undefined while not leading. */
  #view: PartitionState | undefined
  #pending: AppendCommand[] = []
  #pendingBytes = 0
  #pendingGroups: GroupRequest[] = []
  readonly #replies = new PendingReplies<AppendResponse>()
  readonly #groupReplies = new PendingReplies<GroupOutcome>()
  #foldedIndex = 0
  /** The newest entry proposed in this reign, for answers that wait for an earlier try to be committed. */
  #lastProposed: { readonly index: LogIndex; readonly term: Term } | undefined
  readonly #listeners = new Set<() => void>()

  /** `state` is the stored state to go on from, `lowState` the one at the log's low end. */
  constructor(
    partition: number,
    clock: Clock,
    limits: PartitionLimits,
    state: Uint8Array,
    lowState: Uint8Array,
  ) {
    this.partition = partition
    this.#clock = clock
    this.#limits = limits
    this.#state = PartitionState.decode(state, PRODUCERS_PER_PARTITION)
    this.#lowOffset = PartitionState.decode(lowState, PRODUCERS_PER_PARTITION).nextOffset
  }

  /** The oldest offset that this replica keeps. */
  get lowOffset(): number {
    return this.#lowOffset
  }

  /** The offset after the last committed record that this replica has folded. */
  get highWatermark(): Offset {
    return this.#state.nextOffset
  }

  /** Signposts that lie in memory; older ones are in storage. */
  get signposts(): Signposts {
    return this.#signposts
  }

  /** Calls `listener` after the high watermark rose. */
  onAdvance(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  // -- commands ------------------------------------------------------------------------------------------------

  /** Queues a batch for decision, or refuses it at once where too much waits already. */
  submit(command: AppendCommand): void {
    const bytes = costOf(command)
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > this.#limits.maxPendingBytes) {
      command.reply.done(
        new FlotillaError(
          'THROTTLED',
          `${this.#pendingBytes} bytes wait for partition ${this.partition}, ${bytes} more would pass the limit of ${this.#limits.maxPendingBytes}`,
          { retryDelayMs: 100 },
        ),
      )
      return
    }
    this.#pendingBytes += bytes
    this.#pending.push(command)
  }

  submitForGroup(request: GroupRequest): void {
    if (this.#pendingGroups.length >= MAX_PENDING_GROUP_REQUESTS) {
      request.reply.done(
        new FlotillaError(
          'THROTTLED',
          `${this.#pendingGroups.length} commits wait for partition ${this.partition}, which is the limit`,
          { retryDelayMs: 100 },
        ),
      )
      return
    }
    this.#pendingGroups.push(request)
  }

  /** Where a group stands, as far as this replica has folded. */
  groupOutcome(group: string): GroupOutcome {
    return {
      position: this.#state.groups.get(group),
      lowOffset: this.#lowOffset,
      highWatermark: this.#state.nextOffset,
    }
  }

  hasCommands(): boolean {
    return this.#pending.length > 0 || this.#pendingGroups.length > 0
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  lead(_term: Term): void {
    this.#view = this.#state.clone()
    this.#lastProposed = undefined
  }

  follow(error: () => FlotillaError): void {
    this.#view = undefined
    this.#lastProposed = undefined
    this.#replies.failAll(error)
    this.#groupReplies.failAll(error)
    this.#refusePending(
      () =>
        new FlotillaError(
          'NOT_LEADER',
          `this node no longer leads partition ${this.partition}; nothing was changed`,
        ),
    )
  }

  /** All commands of a turn share one entry. */
  decide(propose: (draft: Draft) => ProposeResult): void {
    const view = this.#view
    assert(view !== undefined, 'partition.decide-only-when-leading')
    const baseOffset = view.nextOffset
    const appendTimeMs = Math.max(view.lastAppendTimeMs, this.#clock.wallMs())
    const entry: EntryInTheMaking = {
      batches: [],
      payload: [],
      payloadBytes: 0,
      crc32: new JoinedCrc32(),
      groups: [],
      replies: [],
    }
    let taken = 0
    for (const command of this.#pending) {
      const bytes = command.records.byteLength
      const isFull = entry.payloadBytes > 0 && entry.payloadBytes + bytes > this.#limits.maxEntryBytes
      if (isFull || entry.batches.length === MAX_BATCHES_PER_ENTRY) break
      if (entry.groups.length === MAX_GROUP_MARKS_PER_ENTRY) break
      taken += 1
      this.#pendingBytes -= costOf(command)
      this.#decideAppend(view, command, appendTimeMs, entry)
    }
    this.#pending.splice(0, taken)
    const groupReplies = this.#decideGroups(view, appendTimeMs, entry.groups)
    const { batches, payload, payloadBytes, groups, replies } = entry
    if (batches.length === 0 && groups.length === 0) return this.#answerWithoutEntry(replies, groupReplies)
    const recordCount = view.nextOffset - baseOffset
    const header = encodeRecordsAppended({ baseOffset, recordCount, appendTimeMs, batches, groups })
    const result = propose({ header, payload, payloadBytes, payloadCrc32: entry.crc32.value })
    if (!result.ok) return this.#notProposed(result.reason, [...replies, ...groupReplies])
    this.#lastProposed = { index: result.index, term: result.term }
    this.#waitFor(this.#lastProposed, replies, groupReplies)
  }

  #decideAppend(
    view: PartitionState,
    command: AppendCommand,
    appendTimeMs: number,
    entry: EntryInTheMaking,
  ): void {
    const { reply, producer, recordCount } = command
    const check = producer === undefined ? NEXT : view.producers.check(producer)
    switch (check.type) {
      case 'refused':
        // That a batch was appended long ago is true only once it is committed; the other refusals hold at once.
        if (check.error.effect === 'done') entry.replies.push({ reply, result: check.error })
        else reply.done(check.error)
        return
      case 'duplicate': {
        const result = { partition: this.partition, ...withoutSequence(check.batch), duplicate: true }
        entry.replies.push({ reply, result })
        return
      }
      case 'next':
        break
    }
    const commit =
      command.commit === undefined
        ? undefined
        : view.groups.decide(command.commit, this.#state.nextOffset, this.#lowOffset)
    if (commit?.type === 'refused' && commit.error.reason !== 'COMMIT_BACKWARDS')
      return reply.done(commit.error)
    if (commit?.type === 'nothing' || commit?.type === 'refused') {
      // The caller takes it that the effect is there, which is true only once the earlier commit is committed.
      entry.replies.push({ reply, result: committedBefore(command.commit) })
      return
    }
    const byteLength = command.records.byteLength
    const mark = { recordCount, byteLength, producer }
    const baseOffset = view.foldBatch(mark, appendTimeMs)
    entry.batches.push(mark)
    entry.payload.push(command.records)
    entry.crc32.add(command.records, command.recordsCrc32)
    entry.payloadBytes += byteLength
    if (commit?.type === 'mark') {
      view.foldMark(commit.mark, appendTimeMs)
      entry.groups.push(commit.mark)
    }
    const result = { partition: this.partition, baseOffset, recordCount, appendTimeMs, duplicate: false }
    entry.replies.push({ reply, result })
  }

  /** Adds their marks to `groups`. */
  #decideGroups(view: PartitionState, timeMs: number, groups: GroupMark[]): Provisional<GroupOutcome>[] {
    const replies: Provisional<GroupOutcome>[] = []
    let taken = 0
    for (const { command, reply } of this.#pendingGroups) {
      if (groups.length === MAX_GROUP_MARKS_PER_ENTRY) break
      taken += 1
      const decision = view.groups.decide(command, this.#state.nextOffset, this.#lowOffset)
      if (decision.type === 'refused') {
        reply.done(decision.error)
        continue
      }
      if (decision.type === 'mark') {
        view.foldMark(decision.mark, timeMs)
        groups.push(decision.mark)
      }
      const position = view.groups.get(command.group)
      const { lowOffset, highWatermark } = this
      replies.push({ reply, result: { position, lowOffset, highWatermark } })
    }
    this.#pendingGroups.splice(0, taken)
    return replies
  }

  #waitFor(
    { index, term }: { readonly index: LogIndex; readonly term: Term },
    replies: readonly Provisional<AppendResponse>[],
    groupReplies: readonly Provisional<GroupOutcome>[],
  ): void {
    if (replies.length > 0) this.#replies.add(index, term, replies)
    if (groupReplies.length > 0) this.#groupReplies.add(index, term, groupReplies)
  }

  /** What they rest on is in the log; it is committed when the newest entry of this reign is. */
  #answerWithoutEntry(
    replies: readonly Provisional<AppendResponse>[],
    groupReplies: readonly Provisional<GroupOutcome>[],
  ): void {
    const newest = this.#lastProposed
    if (newest !== undefined && newest.index > this.#foldedIndex) {
      this.#waitFor(newest, replies, groupReplies)
      return
    }
    for (const { reply, result } of replies) reply.done(result)
    for (const { reply, result } of groupReplies) reply.done(result)
  }

  #notProposed(
    reason: 'not-leader' | 'transferring' | 'too-many-uncommitted-bytes',
    replies: readonly { readonly reply: { readonly done: (error: FlotillaError) => void } }[],
  ): void {
    // The view has folded what was not proposed. It is dropped; the replica calls `lead` again once the applied state
    // has caught up with the log.
    this.#view = undefined
    const error = (): FlotillaError =>
      reason === 'too-many-uncommitted-bytes'
        ? new FlotillaError(
            'THROTTLED',
            `partition ${this.partition} has too many bytes that a majority hasn't confirmed yet`,
            { retryDelayMs: 200 },
          )
        : new FlotillaError(
            'NOT_LEADER',
            `this node is handing over partition ${this.partition}; nothing was changed`,
          )
    for (const { reply } of replies) reply.done(error())
  }

  #refusePending(error: () => FlotillaError): void {
    const pending = this.#pending
    this.#pending = []
    this.#pendingBytes = 0
    for (const command of pending) command.reply.done(error())
    const pendingGroups = this.#pendingGroups
    this.#pendingGroups = []
    for (const { reply } of pendingGroups) reply.done(error())
  }

  expire(nowMs: number): void {
    this.#replies.expire(nowMs)
    this.#groupReplies.expire(nowMs)
    this.#expireGroups(nowMs)
    if (this.#pending.length === 0) return
    const expired = this.#pending.filter((command) => command.reply.deadlineMs <= nowMs)
    if (expired.length === 0) return
    this.#pending = this.#pending.filter((command) => command.reply.deadlineMs > nowMs)
    for (const command of expired) {
      this.#pendingBytes -= costOf(command)
      command.reply.done(
        new FlotillaError(
          'NO_QUORUM',
          `partition ${this.partition} could not take the batch before the deadline; nothing was appended`,
        ),
      )
    }
  }

  #expireGroups(nowMs: number): void {
    if (!this.#pendingGroups.some(({ reply }) => reply.deadlineMs <= nowMs)) return
    const expired = this.#pendingGroups.filter(({ reply }) => reply.deadlineMs <= nowMs)
    this.#pendingGroups = this.#pendingGroups.filter(({ reply }) => reply.deadlineMs > nowMs)
    const text = `partition ${this.partition} could not take it before the deadline; nothing was changed`
    for (const { reply } of expired) reply.done(new FlotillaError('NO_QUORUM', text))
  }

  // -- events --------------------------------------------------------------------------------------------------

  apply(entry: Entry): void {
    const event = decodeRecordsAppended(entry.header)
    this.#state.fold(event)
    this.#signposts.pass(entry.index, event.baseOffset, event.appendTimeMs, entry.payloadBytes)
    this.#foldedIndex = entry.index
    this.#replies.folded(entry.index, entry.term)
    this.#groupReplies.folded(entry.index, entry.term)
  }

  applied(last: Entry): void {
    this.#foldedIndex = last.index
    this.#replies.folded(last.index, last.term)
    this.#groupReplies.folded(last.index, last.term)
    for (const listener of this.#listeners) listener()
  }

  restore(snapshot: Snapshot): void {
    this.#state = PartitionState.decode(snapshot.state, PRODUCERS_PER_PARTITION)
    this.#lowOffset = this.#state.nextOffset
    this.#signposts.clear()
  }

  encode(): Uint8Array {
    return this.#state.encode()
  }

  takeIndexPoints(): readonly IndexPoint[] {
    return this.#signposts.takeUnsaved()
  }
}

const NEXT = { type: 'next' } as const

/** What the commands of a turn become. */
interface EntryInTheMaking {
  readonly batches: BatchMark[]
  readonly payload: Uint8Array[]
  payloadBytes: number
  readonly crc32: JoinedCrc32
  readonly groups: GroupMark[]
  readonly replies: Provisional<AppendResponse>[]
}

/** What a batch costs in memory beyond its bytes: an estimate, so that a queue of tiny batches is bounded too. */
const COMMAND_OVERHEAD_BYTES = 256

function costOf(command: AppendCommand): number {
  return command.records.byteLength + COMMAND_OVERHEAD_BYTES
}

/** Its batch is there, or another one came instead of it: appended once more its effect would be doubled. */
function committedBefore(commit: AppendCommand['commit']): FlotillaError {
  return new FlotillaError(
    'COMMIT_BACKWARDS',
    `group "${commit?.group}" has committed ${commit?.offset} or more already, so the batch that belongs to it is not appended`,
  )
}

function withoutSequence(batch: {
  readonly baseOffset: number
  readonly recordCount: number
  readonly appendTimeMs: number
}) {
  return { baseOffset: batch.baseOffset, recordCount: batch.recordCount, appendTimeMs: batch.appendTimeMs }
}
