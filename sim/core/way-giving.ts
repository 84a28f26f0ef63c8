import type { Input, NodeId, PersistToken, RaftConfig, RaftCore } from '../../src/raft/index.ts'

/** A leader is looked at every so many ticks. */
const LOOK_EVERY_TICKS = 5
/** Beyond what the core grants itself: an answer may come in the tick in which it is counted. */
const SLACK_TICKS = 3

/**
 * Whether a leader that is of no use makes room: one that hears from no majority (CheckQuorum, thesis §6.2), one whose
 * disk hangs. Counted in ticks of its own, and apart from what the core counts.
 */
export class WayGiving {
  readonly #config: RaftConfig
  #ticks = 0
  readonly #heardTick = new Map<NodeId, number>()
  /** Since when it leads with these members. */
  #sinceTick = 0
  #reign = ''
  /** Of the newest write that was asked for, and of the newest one that was confirmed, with all before it. */
  #begun = 0
  #confirmed = 0
  #writeTick = 0

  constructor(config: RaftConfig) {
    this.#config = config
  }

  writeBegan({ sequence }: PersistToken): void {
    if (this.#begun === this.#confirmed) this.#writeTick = this.#ticks
    this.#begun = sequence
  }

  /** Before the core takes this input. */
  takes(input: Input): void {
    if (input.type === 'tick') this.#ticks += 1
    else if (input.type === 'message') this.#heardTick.set(input.message.from, this.#ticks)
    else if (input.type === 'persisted') {
      this.#confirmed = Math.max(this.#confirmed, input.token.sequence)
      this.#writeTick = this.#ticks
    }
  }

  /** What is wrong with its going on, if anything. */
  look(core: RaftCore): string | undefined {
    if (this.#ticks % LOOK_EVERY_TICKS !== 0) return undefined
    const { role, term, configuration, configurationIndex, id } = core.status()
    if (role !== 'leader') return undefined
    const reign = `${term}/${configurationIndex}`
    if (reign !== this.#reign) this.#sinceTick = this.#ticks
    this.#reign = reign
    const { stalledDiskTicks, electionTicks } = this.#config
    const waitedTicks = this.#ticks - this.#writeTick
    if (this.#begun > this.#confirmed && waitedTicks > stalledDiskTicks + SLACK_TICKS) {
      return `${id} leads term ${term}, and its disk has confirmed nothing for ${waitedTicks} ticks`
    }
    const hears = (voter: NodeId): boolean =>
      voter === id ||
      this.#ticks - Math.max(this.#sinceTick, this.#heardTick.get(voter) ?? 0) <= electionTicks + SLACK_TICKS
    for (const half of [configuration.voters, configuration.votersOutgoing]) {
      const heard = half.filter(hears)
      if (half.length === 0 || heard.length * 2 > half.length) continue
      return `${id} leads term ${term}, and hears from ${heard.join(' ') || 'nobody'} of ${half.join(' ')}`
    }
    return undefined
  }
}
