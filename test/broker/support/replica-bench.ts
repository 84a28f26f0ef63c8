import type { QuietNotice } from '../../../src/broker/peers/peer-codec.ts'
import { Replica, type ReplicaHost, type ReplicaLimits, type TurnWrite } from '../../../src/broker/replica.ts'
import type { StateMachine } from '../../../src/broker/state-machine.ts'
import { asGroupId, type GroupId } from '../../../src/log/types.ts'
import { Raft, defaultRaftConfig, emptyBootstrap } from '../../../src/raft/index.ts'
import {
  asDigest,
  asLogIndex,
  asNodeId,
  asTerm,
  type Configuration,
  type Entry,
  type LogIndex,
  type Message,
  type NodeId,
  type RaftConfig,
  type Snapshot,
} from '../../../src/raft/types.ts'
import { quietLogger } from './quiet-logger.ts'

export const GROUP: GroupId = asGroupId(7)

export const LIMITS: ReplicaLimits = {
  saveStateEntries: 2000,
  saveStateBytes: 16 * 1024 * 1024,
  compactEntries: undefined,
  maxUnsyncedEntries: 1,
}

export function configurationOf(...ids: readonly string[]): Configuration {
  return { voters: ids.map(asNodeId), votersOutgoing: [], learners: [] }
}

type WithoutTo<M> = M extends Message ? Omit<M, 'to'> : never
export type Incoming = WithoutTo<Message>

/** A replica of node n1 with the real consensus core, a disk that writes when the test says, and peers that are the test. */
export class ReplicaBench implements ReplicaHost {
  readonly core: Raft
  readonly replica: Replica
  readonly sent: Message[] = []
  readonly failures: Error[] = []
  readonly writes: TurnWrite[] = []
  /** What is on the disk. */
  stored: Entry[] = []
  lowEnd: Snapshot
  readonly quietNotices: { readonly to: NodeId; readonly notice: QuietNotice }[] = []
  isWoken = false
  #unsynced: TurnWrite[] = []

  constructor(
    machine: StateMachine,
    voters: readonly string[] = ['n1'],
    limits: Partial<ReplicaLimits> = {},
    raft: Partial<RaftConfig> = {},
  ) {
    const bootstrap = emptyBootstrap(configurationOf(...voters))
    this.lowEnd = { ...bootstrap.lowEnd, state: new Uint8Array(0) }
    this.core = new Raft({ ...defaultRaftConfig(asNodeId('n1')), ...raft }, bootstrap, () => 0)
    const { applied, lowEnd } = bootstrap
    this.replica = new Replica(
      GROUP,
      this.core,
      machine,
      this,
      { ...LIMITS, ...limits },
      applied,
      lowEnd,
      quietLogger,
    )
  }

  wake(): void {
    this.isWoken = true
  }
  send(_groupId: GroupId, messages: readonly Message[]): void {
    this.sent.push(...messages)
  }
  leadershipChanged(): void {}
  configurationChanged(): void {}
  isReachable(): boolean {
    return true
  }
  sendQuiet(to: NodeId, notice: QuietNotice): void {
    this.quietNotices.push({ to, notice })
  }
  readEntries(_groupId: GroupId, from: LogIndex, to: LogIndex, _maxBytes: number): Promise<Entry[]> {
    return Promise.resolve(this.stored.filter(({ index }) => index >= from && index <= to))
  }
  readLowEnd(): Promise<Snapshot> {
    return Promise.resolve(this.lowEnd)
  }
  fail(error: Error): void {
    this.failures.push(error)
  }

  turn(): void {
    this.isWoken = false
    const writes = this.replica.turn()
    this.writes.push(...writes)
    this.#unsynced.push(...writes)
  }
  /** The disk has written all that was asked. */
  sync(): void {
    const synced = this.#unsynced
    this.#unsynced = []
    for (const { write, token } of synced) {
      const [first] = write.entries ?? []
      if (first !== undefined) this.stored = this.stored.filter(({ index }) => index < first.index)
      this.stored.push(...(write.entries ?? []))
      if (token !== undefined) this.replica.persisted(token)
    }
  }
  /** Turns and syncs until nothing is left to do. */
  settle(): void {
    for (let round = 0; round < 100; round++) {
      this.turn()
      if (this.#unsynced.length === 0 && !this.isWoken) return
      this.sync()
    }
    throw new Error('the replica never comes to rest')
  }
  receive(message: Incoming): void {
    this.replica.step({ type: 'message', message: { ...message, to: asNodeId('n1') } })
  }

  /** Makes the replica the leader of its group, with the vote of n2 where it has peers. */
  lead(): void {
    this.replica.step({ type: 'campaign' })
    this.settle()
    const from = asNodeId('n2')
    const { term } = this.replica.status()
    if (this.replica.isLeader) return
    this.receive({ type: 'preVoteReply', from, term: asTerm(term + 1), granted: true })
    this.settle()
    const candidateTerm = this.replica.status().term
    this.receive({ type: 'voteReply', from, term: candidateTerm, granted: true })
    this.settle()
    this.acknowledge()
  }
  /** n2 has everything on its disk. */
  acknowledge(): void {
    const { term, last } = this.replica.status()
    const reply = {
      type: 'appendReply',
      from: asNodeId('n2'),
      term,
      accepted: true,
      index: last.index,
    } as const
    this.receive({ ...reply, hintIndex: asLogIndex(0), hintTerm: asTerm(0) })
    this.settle()
  }
  /** A later leader, n2, sends its state in place of the log. */
  replaceBySnapshot(index: number, state: Uint8Array): void {
    const term = asTerm(this.replica.status().term + 1)
    const mark = { index: asLogIndex(index), term, digest: asDigest(5n) }
    const snapshot = { ...mark, state, configuration: this.replica.status().configuration }
    this.receive({ type: 'snapshot', from: asNodeId('n2'), term, snapshot })
  }
}
