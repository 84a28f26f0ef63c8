import {
  lifeOf,
  type Digest,
  type Entry,
  type Leadership,
  type LogIndex,
  type LogMark,
  type Message,
  type NodeId,
  type RaftCore,
} from '../../src/raft/index.ts'
import type { SimulatedDisk } from './disk.ts'

export interface Violation {
  /** The law that was broken. */
  readonly law: Law
  readonly timeMs: number
  readonly detail: string
}

export type Law =
  | 'election-safety'
  | 'leader-append-only'
  | 'log-matching'
  | 'leader-completeness'
  | 'state-machine-safety'
  | 'committed-is-durable'
  | 'committed-is-kept'
  | 'commit-own-term'
  | 'one-change-at-a-time'
  | 'durable-before-answer'
  | 'fold-in-order'
  | 'linearizable-read'
  | 'acknowledged-lost'
  | 'progress'
  | 'gives-way'
  | 'transfer'
  | 'stable-leader'
  | 'assertion'

/** What the checkers may look at of each node. */
export interface Observed {
  readonly id: NodeId
  /** Of its disk. */
  readonly life: number
  readonly disk: SimulatedDisk
}

/**
 * The laws of figure 3 of the paper, and some that follow from them but are seen sooner, each checked when something
 * happens that could break it. Digests stand for whole prefixes, so comparing one entry compares all before it.
 */
export class Checkers {
  readonly violations: Violation[] = []
  readonly #nodes: () => readonly Observed[]
  readonly #now: () => number
  readonly #leaders = new Map<number, string>()
  /** Digest of each entry that ever was proposed, by index and term. */
  readonly #known = new Map<string, Digest>()
  /** The one history: what was committed at each index. */
  readonly #committed: LogMark[] = []
  /** By index as well: a term in which it was known to be committed. */
  readonly #committedInTerm: number[] = []
  /** Commit index of a node when it became leader. */
  readonly #commitAtElection = new Map<NodeId, number>()
  readonly #lastAsLeader = new Map<NodeId, LogMark>()
  readonly #commitAsLeader = new Map<NodeId, number>()
  /** The newest configuration entry of each leader. */
  readonly #configurationAsLeader = new Map<NodeId, number>()
  readonly #acknowledged: LogMark[] = []
  readonly #buried: Observed[] = []

  constructor(nodes: () => readonly Observed[], now: () => number) {
    this.#nodes = nodes
    this.#now = now
  }

  get committedIndex(): number {
    return this.#committed.length
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.length
  }

  /** This disk is gone. What it promised under its life it had promised, so it still counts as a holder of that. */
  buried(observed: Observed): void {
    this.#buried.push(observed)
  }

  report(law: Law, detail: string): void {
    this.violations.push({ law, timeMs: this.#now(), detail })
  }

  /** A node says that its role, term or leader changed. */
  leadership(id: NodeId, { role, term }: Leadership, core: RaftCore, disk: SimulatedDisk): void {
    this.#lastAsLeader.delete(id)
    this.#commitAtElection.delete(id)
    this.#configurationAsLeader.delete(id)
    this.#commitAsLeader.set(id, core.status().commit)
    if (role !== 'leader') return
    const name = `${id}@${this.#nodes().find((node) => node.id === id)?.life}`
    const other = this.#leaders.get(term)
    if (other !== undefined && other !== name) {
      this.report('election-safety', `term ${term}: both ${other} and ${name} lead`)
    }
    this.#leaders.set(term, name)
    const { hardState } = disk
    if (hardState.term === term && hardState.votedFor !== id) {
      this.report(
        'durable-before-answer',
        `${id} leads term ${term} by a vote of its own that is not written`,
      )
    }
    const { commit } = core.status()
    this.#commitAtElection.set(id, commit)
    const newest = this.#committed.at(-1)
    if (newest === undefined) return
    const digest = this.#digestAt(core, disk, newest.index)
    if (digest !== newest.digest) {
      this.report(
        'leader-completeness',
        `${id} leads term ${term} without the committed entry ${newest.index} of term ${newest.term}`,
      )
    }
  }

  #digestAt(core: RaftCore, disk: SimulatedDisk, index: LogIndex): Digest | undefined {
    const { last, lowEnd } = core.status()
    if (last.index === index) return last.digest
    if (lowEnd.index === index) return lowEnd.digest
    return core.entriesInMemory(index, index, 1)?.[0]?.digest ?? disk.digestAt(index)
  }

  /** A leader's log only grows. */
  leaderLog(id: NodeId, core: RaftCore): void {
    const { role, last } = core.status()
    if (role !== 'leader') return
    const before = this.#lastAsLeader.get(id)
    this.#lastAsLeader.set(id, last)
    if (before === undefined || before.index === last.index) return
    const same =
      last.index > before.index ? core.entriesInMemory(before.index, before.index, 1)?.[0]?.digest : 'gone'
    if (same !== undefined && same !== before.digest) {
      this.report('leader-append-only', `${id}: ${before.index} was overwritten`)
    }
  }

  /** A leader begins a change only when the one before it is committed, and an entry of its own term. */
  leaderConfiguration(id: NodeId, core: RaftCore): void {
    const { role, term, configurationIndex, commit } = core.status()
    if (role !== 'leader') return
    const before = this.#configurationAsLeader.get(id)
    this.#configurationAsLeader.set(id, configurationIndex)
    if (before === undefined || before === configurationIndex) return
    const committedTerm = this.#committed[commit - 1]?.term
    if (before > commit || (committedTerm !== undefined && committedTerm < term)) {
      this.report(
        'one-change-at-a-time',
        `${id}: change ${configurationIndex} in term ${term} after ${before}; ${commit} of term ${committedTerm} is committed`,
      )
    }
  }

  entryWritten(id: NodeId, entry: Entry): void {
    const key = `${entry.index}:${entry.term}`
    const known = this.#known.get(key)
    if (known === undefined) this.#known.set(key, entry.digest)
    else if (known !== entry.digest) {
      this.report('log-matching', `${id}: entry ${entry.index} of term ${entry.term} has two histories`)
    }
  }

  /** A message leaves a node. What it promises must be on the node's disk. */
  sent(message: Message, disk: SimulatedDisk): void {
    const { hardState } = disk
    switch (message.type) {
      case 'appendReply':
        if (!message.accepted || disk.lastIndex >= message.index) return
        this.report(
          'durable-before-answer',
          `${message.from} acknowledged ${message.index}, has ${disk.lastIndex}`,
        )
        return
      case 'voteReply':
        if (!message.granted || hardState.term > message.term) return
        if (hardState.term === message.term && hardState.votedFor === message.to) return
        this.report('durable-before-answer', `${message.from} gave an unwritten vote in ${message.term}`)
        return
      case 'vote':
        if (hardState.term >= message.term) return
        this.report(
          'durable-before-answer',
          `${message.from} asks for votes in the unwritten ${message.term}`,
        )
        return
      case 'preVote':
      case 'preVoteReply':
      case 'append':
      case 'heartbeat':
      case 'heartbeatReply':
      case 'snapshot':
      case 'snapshotReply':
      case 'timeoutNow':
    }
  }

  /** A node hands out committed entries to be folded. `foldedTo`: what it handed out before. */
  committed(id: NodeId, entries: readonly Entry[], foldedTo: number, core: RaftCore): void {
    const newest = entries.at(-1)
    if (newest === undefined) return
    if (entries[0]!.index !== foldedTo + 1 || newest.index !== foldedTo + entries.length) {
      this.report('fold-in-order', `${id}: ${entries[0]!.index} to ${newest.index} after ${foldedTo}`)
    }
    const { role, term, commit, ownTermCommitted } = core.status()
    for (const entry of entries) this.mark(id, entry, term)
    const atElection = this.#commitAtElection.get(id)
    if (role === 'leader' && !ownTermCommitted && atElection !== undefined && commit > atElection) {
      this.report('commit-own-term', `${id} committed ${commit} by counting an earlier term's entry`)
    }
  }

  /** `mark` is committed, says this node, which is in term `now`. */
  mark(id: NodeId, { index, term, digest }: LogMark, now: number): void {
    const known = this.#committed[index - 1]
    if (known === undefined) {
      // A snapshot may reach a node before its entries are seen here; only the next one extends the history.
      if (index !== this.#committed.length + 1) return
      this.#committed.push({ index, term, digest })
      this.#committedInTerm.push(now)
      return
    }
    if (known.digest !== digest) {
      this.report(
        'state-machine-safety',
        `${id}: at ${index} committed term ${term}, elsewhere ${known.term}`,
      )
    }
  }

  /** A leader's commit index has moved: by the configuration of right then, because whoever hears of it later may know another. */
  leaderCommit(id: NodeId, core: RaftCore, disk: SimulatedDisk): void {
    const { role, commit: index, term, configuration } = core.status()
    if (role !== 'leader' || (this.#commitAsLeader.get(id) ?? 0) >= index) return
    this.#commitAsLeader.set(id, index)
    const digest = this.#digestAt(core, disk, index)
    const holders = [...this.#nodes(), ...this.#buried].filter(({ id: holder, life, disk }) => {
      if (life !== lifeOf(configuration, holder)) return false
      return disk.lowEnd.index >= index || disk.entryAt(index)?.digest === digest
    })
    const names = holders.map((holder) => holder.id)
    for (const half of [configuration.voters, configuration.votersOutgoing]) {
      const holding = half.filter((voter) => names.includes(voter))
      if (half.length === 0 || holding.length * 2 > half.length) continue
      this.report(
        'committed-is-durable',
        `${id}: ${index} of term ${term} is on ${names.join(' ')} of ${half.join(' ')}`,
      )
    }
  }

  /**
   * Entries are gone from a disk. No leader of a term after their commit lacks them (leader completeness), so a node that
   * is in such a term has no reason to drop them. In an earlier term it may follow a leader that lacks them.
   */
  dropped(id: NodeId, entries: readonly Entry[], term: number): void {
    for (const { index, digest } of entries) {
      if (this.#committed[index - 1]?.digest !== digest || this.#committedInTerm[index - 1]! > term) continue
      this.report('committed-is-kept', `${id}, in term ${term}, dropped the committed entry ${index}`)
      return
    }
  }

  acknowledged(mark: LogMark): void {
    this.#acknowledged.push(mark)
  }

  readServed(id: NodeId, index: number, floor: number): void {
    if (index >= floor) return
    this.report(
      'linearizable-read',
      `${id} reads at ${index}, ${floor} was acknowledged before the read began`,
    )
  }

  /** At the end, when all is healed: everything acknowledged is in the one history and on every member's disk. */
  finish(isMember: (id: NodeId) => boolean = () => true): void {
    for (const { index, digest } of this.#acknowledged) {
      if (this.#committed[index - 1]?.digest !== digest) {
        this.report('acknowledged-lost', `entry ${index} isn't in the history`)
      }
      for (const { id, disk } of this.#nodes()) {
        if (!isMember(id)) continue
        if (disk.lowEnd.index >= index || disk.digestAt(index) === digest) continue
        this.report('acknowledged-lost', `entry ${index} isn't on the disk of ${id}`)
      }
    }
  }
}
