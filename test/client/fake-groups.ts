import { duplexHandler, type Handler, type Sink } from '../../src/env/index.ts'
import {
  durationOf,
  embeddedError,
  FlotillaError,
  groupMethods,
  toRpcError,
  type CommitPosition,
  type CommitResult,
  type ConsumeRequest,
  type ConsumeResponse,
  type ConsumeStart,
  type RecordBatch,
  type TopicPartition,
} from '../../src/wire/index.ts'

const SESSION_MS = 10_000

/** What the groups need of the broker. */
export interface GroupLog {
  batches(topic: string, partition: number): readonly RecordBatch[]
  highWatermark(topic: string, partition: number): number
  partitionCount(topic: string): number
}

interface Owned extends TopicPartition {
  owner: string | undefined
  epoch: number
  revoking: boolean
  committed: number | undefined
}

interface Member {
  readonly id: string
  readonly incarnation: number
  readonly topics: readonly string[]
  stream: Stream | undefined
}

interface Stream {
  readonly node: string
  readonly sink: Sink<ConsumeResponse>
  readonly told: Map<Owned, { epoch: number; next: number; paused: boolean; caughtUp: boolean }>
  credit: { records: number; bytes: number }
}

const nameOf = ({ topic, partition }: TopicPartition): TopicPartition => ({ topic, partition })

/** Groups in memory, as clients see those of a real cluster. Leases end only when a test says so. */
export class FakeGroups {
  readonly #log: GroupLog
  readonly #members = new Map<string, Member>()
  readonly #partitions = new Map<string, Owned>()
  /** All that was sent, with the node that it was sent to. */
  readonly requests: { readonly node: string; readonly request: ConsumeRequest }[] = []
  /** Every commit that took effect, in order. */
  readonly commits: CommitPosition[] = []
  /** Fails a commit in place of taking it. */
  refuseCommit: (position: CommitPosition) => FlotillaError | undefined = () => undefined
  /** Fails a start in place of taking it. */
  refuseStart: (start: ConsumeStart, node: string) => FlotillaError | undefined = () => undefined
  #incarnation = 0
  #epoch = 0

  constructor(log: GroupLog) {
    this.#log = log
  }

  memberIds(): string[] {
    return [...this.#members.keys()]
  }
  committed(topic: string, partition: number): number | undefined {
    return this.#partitions.get(`${topic}/${partition}`)?.committed
  }
  ownerOf(topic: string, partition: number): string | undefined {
    return this.#partitions.get(`${topic}/${partition}`)?.owner
  }

  /** Its lease has ended. */
  expire(memberId: string): void {
    const member = this.#members.get(memberId)
    this.#remove(memberId)
    member?.stream?.sink.fail(
      toRpcError(new FlotillaError('UNKNOWN_MEMBER', `the group has no member ${memberId}`)),
    )
    this.#balance()
  }

  /** The leases of all whose streams broke end, as of those who broke off before they knew their ids. */
  expireSilent(): void {
    for (const { id, stream } of [...this.#members.values()]) if (stream === undefined) this.expire(id)
  }

  /** Something was appended. */
  pump(): void {
    for (const { stream } of this.#members.values()) if (stream !== undefined) this.#send(stream)
  }

  handler(node: string): Handler {
    return duplexHandler(groupMethods.consume, (sink) => {
      const stream: Stream = { node, sink, told: new Map(), credit: { records: 0, bytes: 0 } }
      let member: Member | undefined
      return {
        onMessage: (request) => {
          this.requests.push({ node, request })
          if (request.start !== undefined) member = this.#start(request.start, stream, node)
          else if (member?.stream === stream) this.#handle(request, member, stream)
        },
        onEnd: () => sink.end(),
        onClose: () => {
          if (member?.stream === stream) member.stream = undefined
        },
      }
    })
  }

  #start(start: ConsumeStart, stream: Stream, node: string): Member | undefined {
    const refusal = this.refuseStart(start, node)
    if (refusal !== undefined) {
      stream.sink.fail(toRpcError(refusal))
      return undefined
    }
    const { memberId, incarnation, topics = [], credit } = start
    const known = memberId === undefined ? undefined : this.#members.get(memberId)
    if (incarnation !== undefined && known?.incarnation !== incarnation) {
      const reason = known === undefined ? 'UNKNOWN_MEMBER' : 'MEMBER_FENCED'
      stream.sink.fail(toRpcError(new FlotillaError(reason, `${memberId} is not who it was`)))
      return undefined
    }
    stream.credit = { ...credit! }
    const member =
      incarnation !== undefined && known !== undefined ? known : this.#join(memberId, topics, known)
    member.stream = stream
    const sessionTimeout = durationOf(SESSION_MS)
    stream.sink.send({ joined: { memberId: member.id, incarnation: member.incarnation, sessionTimeout } })
    this.#balance()
    return member
  }

  #join(memberId: string | undefined, topics: readonly string[], elder: Member | undefined): Member {
    elder?.stream?.sink.fail(toRpcError(new FlotillaError('MEMBER_FENCED', 'a younger one has come')))
    const incarnation = ++this.#incarnation
    const member: Member = { id: memberId ?? `m${incarnation}`, incarnation, topics, stream: undefined }
    this.#members.set(member.id, member)
    for (const topic of topics) {
      for (let partition = 0; partition < this.#log.partitionCount(topic); partition++) {
        const key = `${topic}/${partition}`
        if (this.#partitions.has(key)) continue
        const nobodys = { owner: undefined, epoch: 0, revoking: false, committed: undefined }
        this.#partitions.set(key, { topic, partition, ...nobodys })
      }
    }
    return member
  }

  #handle(request: ConsumeRequest, member: Member, stream: Stream): void {
    const { credit, commit, release, pause, resume, leave } = request
    if (credit !== undefined) {
      stream.credit.records += credit.records
      stream.credit.bytes += credit.bytes
    }
    if (commit !== undefined) {
      const results = commit.positions.map((position) => this.#commit(position, member))
      stream.sink.send({ committed: { correlationId: commit.correlationId, results } })
    }
    for (const each of release?.partitions ?? []) {
      const owned = this.#partitions.get(`${each.topic}/${each.partition}`)
      if (owned?.owner === member.id && owned.revoking) this.#free(owned)
    }
    this.#setPaused(stream, pause?.partitions ?? [], true)
    this.#setPaused(stream, resume?.partitions ?? [], false)
    if (leave !== undefined) {
      this.#remove(member.id)
      stream.sink.end()
    }
    this.#balance()
  }

  #setPaused(stream: Stream, partitions: readonly TopicPartition[], paused: boolean): void {
    for (const [owned, told] of stream.told) {
      if (partitions.some((each) => each.topic === owned.topic && each.partition === owned.partition))
        told.paused = paused
    }
  }

  #commit(position: CommitPosition, member: Member): CommitResult {
    const owned = this.#partitions.get(`${position.topic}/${position.partition}`)
    const result = ((): FlotillaError | undefined => {
      const refusal = this.refuseCommit(position)
      if (refusal !== undefined) return refusal
      if (owned === undefined || owned.owner !== member.id || owned.epoch !== position.epoch) {
        return new FlotillaError('PARTITION_NOT_OWNED', `${member.id} does not own it`)
      }
      if (position.offset < (owned.committed ?? 0))
        return new FlotillaError('COMMIT_BACKWARDS', 'commits go forward')
      return undefined
    })()
    if (result !== undefined) return { ...nameOf(position), error: embeddedError(result) }
    owned!.committed = position.offset
    this.commits.push(position)
    return { ...nameOf(position), committedOffset: position.offset }
  }

  #remove(memberId: string): void {
    this.#members.delete(memberId)
    for (const owned of this.#partitions.values()) if (owned.owner === memberId) this.#free(owned)
  }

  #free(owned: Owned): void {
    for (const { stream } of this.#members.values()) stream?.told.delete(owned)
    owned.owner = undefined
    owned.revoking = false
  }

  /** Gives what is free to who has least, and has those give back who have more than their share. */
  #balance(): void {
    const members = [...this.#members.values()]
    const owned = [...this.#partitions.values()]
    const of = ({ id }: Member): Owned[] => owned.filter(({ owner }) => owner === id)
    const most = Math.ceil(owned.length / Math.max(1, members.length))
    for (const member of members) {
      const extra = of(member).filter(({ revoking }) => !revoking)
      for (const each of extra.slice(most)) each.revoking = true
    }
    for (const free of owned.filter(({ owner }) => owner === undefined)) {
      const least = members.toSorted((a, b) => of(a).length - of(b).length)[0]
      if (least === undefined) break
      free.owner = least.id
      free.epoch = ++this.#epoch
    }
    for (const member of members) if (member.stream !== undefined) this.#tell(member, member.stream)
  }

  #tell(member: Member, stream: Stream): void {
    for (const owned of this.#partitions.values()) {
      if (owned.owner !== member.id) continue
      const told = stream.told.get(owned)
      const { topic, partition, epoch, committed } = owned
      if (owned.revoking) {
        if (told?.epoch === -1) continue
        stream.told.set(owned, { epoch: -1, next: 0, paused: true, caughtUp: true })
        stream.sink.send({ revoked: { partitions: [nameOf(owned)], timeout: durationOf(30_000) } })
      } else if (told === undefined) {
        const startOffset = committed ?? 0
        stream.told.set(owned, { epoch, next: startOffset, paused: false, caughtUp: false })
        const highWatermark = this.#log.highWatermark(topic, partition)
        const committedOffset = committed === undefined ? {} : { committedOffset: committed }
        const assigned = { topic, partition, epoch, startOffset, ...committedOffset, highWatermark }
        stream.sink.send({ assigned: { partitions: [assigned] } })
      }
    }
    this.#send(stream)
  }

  #send(stream: Stream): void {
    for (const [{ topic, partition }, told] of stream.told) {
      if (told.paused) continue
      const highWatermark = this.#log.highWatermark(topic, partition)
      for (const batch of this.#log.batches(topic, partition)) {
        const end = batch.baseOffset + batch.recordCount
        if (end <= told.next) continue
        if (stream.credit.records <= 0 || stream.credit.bytes <= 0) return
        stream.credit.records -= batch.recordCount
        stream.credit.bytes -= batch.records.reduce((sum, { length }) => sum + length, 0)
        told.next = end
        const records = {
          topic,
          partition,
          epoch: told.epoch,
          batches: [batch],
          nextOffset: end,
          highWatermark,
        }
        stream.sink.send({ records })
      }
      if (told.caughtUp || told.next < highWatermark) continue
      told.caughtUp = true
      stream.sink.send({ caughtUp: { topic, partition, offset: told.next } })
    }
  }
}
