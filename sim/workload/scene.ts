import type { TopicMessage } from '../../src/client/index.ts'
import { SimClient } from '../cluster/client.ts'
import { stackOf } from '../cluster/node.ts'
import type { World } from '../cluster/world.ts'
import { AbortError, FlotillaError } from '../../src/client/index.ts'
import type { SentRecord } from '../checkers/ledger.ts'

export const TOPIC = 'orders'

/** What all actors of a run share: the world, the topic, the clients' machines and the count of what is under way. */
export class Scene {
  readonly world: World
  readonly topic: TopicMessage
  /** Sends without an outcome, in clients that live. */
  pending = 0
  /** The load is over, and what is left to do shall be done without delay. */
  isHealed = false
  #lives = 0

  constructor(world: World, topic: TopicMessage) {
    this.world = world
    this.topic = topic
  }

  /** A new process on this machine. */
  client(host: string): SimClient {
    return new SimClient(this.world, `${host}#${++this.#lives}`, host)
  }

  partition(number: number): number {
    return number % this.topic.partitions.length
  }

  /** A client was told that its record is kept. */
  acknowledged(record: SentRecord, partition: number, offset: number): void {
    this.world.ledger.acknowledge(record, partition, offset)
    const place = this.topic.partitions.find((each) => each.partition === partition)
    if (place === undefined) {
      this.world.report(
        'internal-error',
        `${record.id} was acknowledged by partition ${partition}, which is not there`,
      )
      return
    }
    this.world.durableLogs.acknowledged(place.groupId, offset)
  }

  /** A client was told that its record failed. */
  failed(record: SentRecord, error: unknown): void {
    this.failure(error)
    if (error instanceof FlotillaError) this.world.ledger.fail(record, error.effect)
    else this.world.ledger.fail(record, 'none')
  }

  /** Failures are what faults are for, but not every failure. */
  failure(error: unknown): void {
    if (error instanceof AbortError) return
    if (!(error instanceof FlotillaError) || error.reason === 'INTERNAL') {
      this.world.report('internal-error', `a client failed: ${stackOf(error)}`)
      return
    }
    this.world.count(`failed ${error.reason}`)
  }
}
