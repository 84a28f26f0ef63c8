import type { Message, NodeId } from '../../src/raft/index.ts'
import type { FaultCounts, FaultPlan } from './faults.ts'
import type { RandomStream } from './random.ts'
import type { Schedule } from './schedule.ts'

/** Of what gets lost. */
const TOLD_PER_MILLE = 300

/** Datagrams: they get lost, doubled, and overtake each other; links break one way or both ways. */
export class SimulatedNetwork {
  readonly #schedule: Schedule
  readonly #random: RandomStream
  readonly #counts: FaultCounts
  readonly #deliver: (message: Message) => void
  readonly #onUndelivered: (message: Message) => void
  #plan: FaultPlan['network']
  readonly #cut = new Set<string>()

  constructor(
    schedule: Schedule,
    random: RandomStream,
    plan: FaultPlan['network'],
    counts: FaultCounts,
    deliver: (message: Message) => void,
    onUndelivered: (message: Message) => void,
  ) {
    this.#schedule = schedule
    this.#random = random
    this.#plan = plan
    this.#counts = counts
    this.#deliver = deliver
    this.#onUndelivered = onUndelivered
  }

  send(message: Message): void {
    const { lossPerMille, duplicatePerMille } = this.#plan
    if (this.#cut.has(`${message.from}>${message.to}`)) {
      this.#counts.messageCutOff += 1
      this.#maybeTell(message)
      return
    }
    if (this.#random.chance(lossPerMille)) {
      this.#counts.messageLost += 1
      this.#maybeTell(message)
      return
    }
    this.#transmit(message)
    if (this.#random.chance(duplicatePerMille)) {
      this.#counts.messageDuplicated += 1
      this.#transmit(message)
    }
  }

  /** A transport may notice, and tell the sender in a while. */
  #maybeTell(message: Message): void {
    if (!this.#random.chance(TOLD_PER_MILLE)) return
    this.#counts.undelivered += 1
    this.#schedule.after(this.#random.between(1, 30), () => this.#onUndelivered(message))
  }

  #transmit(message: Message): void {
    const { fastestMs, slowestMs, delayPerMille, delayMs } = this.#plan
    let delay = this.#random.between(fastestMs, slowestMs)
    if (this.#random.chance(delayPerMille)) {
      this.#counts.messageDelayed += 1
      delay += this.#random.below(delayMs + 1)
    }
    this.#schedule.after(delay, () => this.#deliver(message))
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`)
  }

  heal(): void {
    this.#cut.clear()
  }

  /** From now on by another plan. */
  follow(plan: FaultPlan['network']): void {
    this.#plan = plan
  }
}
