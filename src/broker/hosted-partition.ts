import type { Cancel } from '../env/index.ts'
import type { FlotillaError } from '../wire/errors.ts'
import type { PartitionMachine } from './partition/machine.ts'
import type { Replica } from './replica.ts'

/** A replica of a data partition on this node. */
export class HostedPartition {
  readonly topic: string
  readonly replica: Replica
  readonly machine: PartitionMachine
  readonly #listeners = new Set<(error: FlotillaError) => void>()
  #stoppedWith: (() => FlotillaError) | undefined

  constructor(topic: string, replica: Replica, machine: PartitionMachine) {
    this.topic = topic
    this.replica = replica
    this.machine = machine
  }

  /** Calls `listener` when this replica ends: its topic is deleted, the node stops. At once where it has ended. */
  onStop(listener: (error: FlotillaError) => void): Cancel {
    if (this.#stoppedWith !== undefined) {
      listener(this.#stoppedWith())
      return () => undefined
    }
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  stop(error: () => FlotillaError): void {
    if (this.#stoppedWith !== undefined) return
    this.#stoppedWith = error
    this.replica.stop(error)
    for (const listener of this.#listeners) listener(error())
  }
}
