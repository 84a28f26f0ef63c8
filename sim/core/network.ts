import type { Message, NodeId } from '../../src/raft/index.ts'
import type { FaultCounts, FaultPlan } from './faults.ts'
import type { RandomStream } from './random.ts'
import type { Schedule } from './schedule.ts'

/** Datagrams: they get lost, doubled, and overtake each other; links break one way or both ways. */
export class SimulatedNetwork {
  readonly #schedule: Schedule
  readonly #random: RandomStream
  readonly #counts: FaultCounts
  readonly #deliver: (message: Message) => void
  #plan: FaultPlan['network']
  readonly #cut = new Set<string>()

  constructor(
    schedule: Schedule,
    random: RandomStream,
    plan: FaultPlan['network'],
    counts: FaultCounts,
    deliver: (message: Message) => void,
  ) {
    this.#schedule = schedule
    this.#random = random
    this.#plan = plan
    this.#counts = counts
    this.#deliver = deliver
  }

  send(message: Message): void {
    const { lossPerMille, duplicatePerMille } = this.#plan
    if (this.#cut.has(`${message.from}>${message.to}`)) {
      this.#counts.messageCutOff += 1
      return
    }
    if (this.#random.chance(lossPerMille)) {
      this.#counts.messageLost += 1
      return
    }
    this.#transmit(message)
    if (this.#random.chance(duplicatePerMille)) {
      this.#counts.messageDuplicated += 1
      this.#transmit(message)
    }
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
