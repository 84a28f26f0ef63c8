import { FlotillaError, type TopicMessage } from '../../src/client/index.ts'
import type { SimNode } from '../cluster/node.ts'
import type { GroupActor } from './group-actor.ts'
import { Sighting } from './reader-actor.ts'
import { TOPIC, type Scene } from './scene.ts'

/**
 * After all is healed: every partition takes a record again, and every replica that is up gives all that there is. What it
 * waits for it asks for again and again, until the run's patience ends.
 */
export class Verification {
  readonly #scene: Scene
  readonly #nodes: readonly SimNode[]
  readonly #group: GroupActor
  /** What is still waited for, for the message if it never comes. */
  waitingFor = 'the beginning'
  isDone = false

  constructor(scene: Scene, nodes: readonly SimNode[], group: GroupActor) {
    this.#group = group
    this.#scene = scene
    this.#nodes = nodes
  }

  start(): void {
    const client = this.#scene.client('auditor')
    client.life.after(1, () => void this.#run(client))
  }

  async #run(client: ReturnType<Scene['client']>): Promise<void> {
    const sleep = (ms: number): Promise<void> =>
      new Promise((resolve) => client.life.after(ms * 1000, resolve))
    const producer = client.client.producer({ deliveryTimeoutMs: 60_000 })
    for (const { partition } of this.#scene.topic.partitions) {
      this.waitingFor = `partition ${partition} to take a record`
      await this.#append(producer, partition)
    }
    this.waitingFor = 'the clients to hear what became of their records'
    while (this.#scene.pending > 0) await sleep(100)
    for (const { partition, replicaNodeIds } of await this.#arrived(client, sleep)) {
      this.waitingFor = `the confirmed end of partition ${partition}`
      const seen = this.#scene.world.ledger.history(partition).length
      const { highWatermark } = await client.client.cluster.listOffsets(TOPIC, partition, {
        consistency: 'linearizable',
        timeoutMs: 60_000,
      })
      if (highWatermark < seen) this.#isShorter(partition, seen, highWatermark)
      for (const node of this.#nodes) {
        if (!replicaNodeIds.includes(node.id)) continue
        this.waitingFor = `all ${highWatermark} records of partition ${partition} on ${node.id}`
        const sighting = new Sighting(this.#scene, `auditor of ${node.id}`)
        // What a replica has given once it needn't give again: it goes on where it stopped.
        while (!(await this.#readOn(client, node.id, partition, sighting, highWatermark))) await sleep(100)
      }
    }
    if (this.#scene.world.plan.members > 0) await this.#untilGroupIsDone(client, sleep)
    this.isDone = true
  }

  async #untilGroupIsDone(
    client: ReturnType<Scene['client']>,
    sleep: (ms: number) => Promise<void>,
  ): Promise<void> {
    const node = this.#nodes[0]
    const connection = client.env.network.connect(node?.address ?? '')
    for (const { partition } of this.#scene.topic.partitions) {
      this.waitingFor = `the group to have committed all of partition ${partition}`
      while (!(await this.#group.isDone(connection, partition))) await sleep(200)
    }
  }

  /** The partitions, once all their replicas are where they shall be. */
  async #arrived(
    { client }: ReturnType<Scene['client']>,
    sleep: (ms: number) => Promise<void>,
  ): Promise<TopicMessage['partitions']> {
    for (;;) {
      const { partitions } = await client.topics.describe(TOPIC, { timeoutMs: 60_000 })
      const moving = partitions.filter(({ targetNodeIds = [] }) => targetNodeIds.length > 0)
      if (moving.length === 0) return partitions
      this.waitingFor = moving
        .map((each) => `partition ${each.partition} to arrive on ${each.targetNodeIds?.join(', ')}`)
        .join(' and ')
      await sleep(100)
    }
  }

  async #append(
    producer: { send: ReturnType<ReturnType<Scene['client']>['client']['producer']>['send'] },
    partition: number,
  ): Promise<void> {
    const id = `auditor:${partition}`
    const record = this.#scene.world.ledger.send({
      id,
      key: id,
      source: 'auditor',
      number: 1,
      value: `${id} `,
    })
    const { offset } = await producer.send({ topic: TOPIC, key: id, value: `${id} `, partition })
    this.#scene.acknowledged(record, partition, offset)
  }

  async #readOn(
    client: ReturnType<Scene['client']>,
    nodeId: string,
    partition: number,
    sighting: Sighting,
    end: number,
  ): Promise<boolean> {
    const reader = client.client.reader({
      topic: TOPIC,
      partitions: [partition],
      nodeId,
      from: { offset: sighting.endOf(partition) },
      untilEnd: true,
      consistency: 'committed',
    })
    try {
      for await (const batch of reader.batches()) sighting.batch(batch)
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error
      this.#scene.failure(error)
      return false
    }
    return sighting.endOf(partition) >= end
  }

  #isShorter(partition: number, seen: number, end: number): void {
    const detail = `partition ${partition} was seen up to ${seen}, and its leader says that it ends at ${end}`
    this.#scene.world.report('acknowledged-lost', detail)
  }
}
