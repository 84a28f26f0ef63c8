import { FlotillaError, type Producer, type TopicMessage } from '../../src/client/index.ts'
import type { SimClient } from '../cluster/client.ts'
import type { SimNode } from '../cluster/node.ts'
import { Aftershocks } from '../faults/aftershocks.ts'
import { areMembersChanging } from '../healing.ts'
import { Sighting } from './reader-actor.ts'
import { TOPIC, type Scene } from './scene.ts'
import type { Workload } from './workload.ts'

const VOTING: readonly string[] = ['REPLICA_ROLE_LEADER', 'REPLICA_ROLE_FOLLOWER']
/** Within this a group in which nothing happens goes quiet. */
const QUIET_MS = 3000

/**
 * After all is healed: what is known reaches every replica, every partition takes a record again, and every replica that is
 * up gives all that there is. What it waits for it asks for again and again, until the run's patience ends.
 */
export class Verification {
  readonly #scene: Scene
  readonly #nodes: readonly SimNode[]
  readonly #workload: Workload
  #waitingFor = 'the beginning'
  #afterWhat = ''
  /** Rises with all that has its time for itself: everything goes on after the healing, and then after each aftershock. */
  stage = 0
  isDone = false

  constructor(scene: Scene, nodes: readonly SimNode[], workload: Workload) {
    this.#workload = workload
    this.#scene = scene
    this.#nodes = nodes
  }

  /** What is still waited for, for the message if it never comes. */
  get waitingFor(): string {
    return this.#waitingFor + this.#afterWhat
  }

  start(): void {
    const client = this.#scene.client('auditor')
    client.life.after(1, () => void this.#run(client))
  }

  async #run(client: SimClient): Promise<void> {
    const { world } = this.#scene
    const producer = client.client.producer({ deliveryTimeoutMs: 60_000 })
    // What is known has to reach every replica though nobody writes anything.
    await this.#readAllKnown(client)
    await this.#round(client, producer, 1)
    await this.#followed(client)
    if (world.plan.members > 0) await this.#untilGroupIsDone(client)
    await this.#aftershocks(client, producer)
    this.isDone = true
  }

  /** Every partition takes a record, every call has its outcome, and every replica that is up gives every record. */
  async #round(client: SimClient, producer: Producer, number: number, lost?: SimNode): Promise<void> {
    const { topic, world } = this.#scene
    for (const { partition } of topic.partitions) {
      this.#waitingFor = `partition ${partition} to take a record`
      await this.#append(producer, partition, number)
    }
    this.#waitingFor = 'the clients to hear what became of their records'
    while (this.#scene.pending > 0) await sleep(client, 100)
    for (const { partition, replicaNodeIds } of await this.#arrived(client)) {
      this.#waitingFor = `the confirmed end of partition ${partition}`
      const seen = world.ledger.history(partition).length
      const { highWatermark } = await client.client.cluster.listOffsets(TOPIC, partition, {
        consistency: 'linearizable',
        timeoutMs: 60_000,
      })
      if (highWatermark < seen) this.#isShorter(partition, seen, highWatermark)
      const readable = replicaNodeIds.filter((id) => id !== lost?.id)
      await this.#readEverywhere(client, partition, readable, highWatermark)
      this.#waitingFor = `partition ${partition} to know again where an acknowledged batch is`
      for (let node = number; !(await this.#workload.isRemembered(partition, node)); node++)
        await sleep(client, 100)
    }
  }

  async #untilGroupIsDone(client: SimClient): Promise<void> {
    for (const { partition } of this.#scene.topic.partitions) {
      this.#waitingFor = `the group to have committed all of partition ${partition}`
      for (;;) {
        // Whoever is there: an operator may be sending a node away.
        const node = this.#nodes.find(({ isUp }) => isUp)
        const connection = client.env.network.connect(node?.address ?? '')
        const isDone = await this.#workload.group.isDone(connection, partition)
        connection.close()
        if (isDone) break
        await sleep(client, 200)
      }
    }
  }

  /** The partitions, once all their replicas are where they shall be. */
  async #arrived(auditor: SimClient): Promise<TopicMessage['partitions']> {
    for (;;) {
      const { partitions } = await auditor.client.topics.describe(TOPIC, { timeoutMs: 60_000 })
      const moving = partitions.filter(({ targetNodeIds = [] }) => targetNodeIds.length > 0)
      if (moving.length === 0) return partitions
      this.#waitingFor = moving
        .map((each) => `partition ${each.partition} to arrive on ${each.targetNodeIds?.join(', ')}`)
        .join(' and ')
      await sleep(auditor, 100)
    }
  }

  async #readAllKnown(client: SimClient): Promise<void> {
    for (const { partition, replicaNodeIds } of await this.#arrived(client)) {
      const end = this.#scene.world.ledger.knownEnd(partition)
      await this.#readEverywhere(client, partition, replicaNodeIds, end)
    }
  }

  /** Whoever followed the topic all the time has seen all of it. */
  async #followed(client: SimClient): Promise<void> {
    for (const { partition } of this.#scene.topic.partitions) {
      const end = this.#scene.world.ledger.knownEnd(partition)
      this.#waitingFor = `the reader that follows partition ${partition} to see all ${end} records`
      while (this.#workload.followedTo(partition) < end) await sleep(client, 100)
    }
  }

  async #readEverywhere(
    client: SimClient,
    partition: number,
    replicaNodeIds: readonly string[],
    end: number,
  ): Promise<void> {
    for (const node of this.#nodes) {
      if (!node.isUp || !replicaNodeIds.includes(node.id)) continue
      this.#waitingFor = `all ${end} records of partition ${partition} on ${node.id}`
      const sighting = new Sighting(this.#scene, `auditor of ${node.id}`)
      // What a replica has given once it needn't give again: it goes on where it stopped.
      while (!(await this.#readOn(client, node.id, partition, sighting, end))) {
        await sleep(client, 100)
        // Whoever said where the replicas are had perhaps not heard yet that one shall move on.
        if (!(await this.#isOn(client, partition, node.id))) break
      }
    }
  }

  async #isOn(client: SimClient, partition: number, nodeId: string): Promise<boolean> {
    const { partitions } = await client.client.topics.describe(TOPIC, { timeoutMs: 60_000 })
    return partitions.find((each) => each.partition === partition)?.replicaNodeIds.includes(nodeId) === true
  }

  /**
   * When all have gone quiet a node is struck: its partitions take records all the same, the others go quiet again, and
   * then it is back and hears what it has missed though nobody writes anything.
   */
  async #aftershocks(client: SimClient, producer: Producer): Promise<void> {
    const { world } = this.#scene
    if (this.#nodes.length < 3 || this.#nodes.length < world.nodes.length) return
    if (areMembersChanging(world.plan)) return
    const aftershocks = new Aftershocks(world, [client.life.host, ...this.#workload.hosts])
    for (let number = 1; number <= aftershocks.count; number++) {
      await this.#whole(client)
      await this.#quiet(client)
      this.stage++
      const { what, lost, over } = aftershocks.strike(this.#nodes)
      this.#afterWhat = ` after ${what}`
      await this.#round(client, producer, 1 + number, lost)
      await this.#quiet(client)
      over()
      await this.#readAllKnown(client)
      await this.#followed(client)
    }
  }

  /** All replicas vote again: one that lost its disk, or had its log damaged, learns first, and until then others can't be spared. */
  async #whole(client: SimClient): Promise<void> {
    for (;;) {
      const { replicas } = await client.client.cluster.describe({ timeoutMs: 60_000 })
      const votes = (groupId: number): number =>
        replicas.filter((each) => each.groupId === groupId && VOTING.includes(each.role)).length
      const lacking = (await this.#arrived(client)).filter(
        ({ groupId, replicaNodeIds }) => votes(groupId) < replicaNodeIds.length,
      )
      const metadataVotes = Math.min(5, this.#nodes.length - ((this.#nodes.length + 1) % 2))
      if (lacking.length === 0 && votes(0) >= metadataVotes) return
      const names = lacking.map(({ partition }) => `partition ${partition}`)
      this.#waitingFor = `all replicas of ${names.join(', ') || 'the metadata group'} to vote`
      await sleep(client, 200)
    }
  }

  async #quiet(client: SimClient): Promise<void> {
    this.#waitingFor = 'the cluster to go quiet'
    await sleep(client, QUIET_MS)
  }

  async #append(producer: Producer, partition: number, number: number): Promise<void> {
    const key = `auditor:${partition}`
    const id = `${key}:${number}`
    const value = `${id} `
    const record = this.#scene.world.ledger.send({ id, key, source: 'auditor', number, value })
    const { offset } = await producer.send({ topic: TOPIC, key, value, partition })
    this.#scene.acknowledged(record, partition, offset)
  }

  async #readOn(
    client: SimClient,
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

function sleep({ life }: SimClient, ms: number): Promise<void> {
  return new Promise((resolve) => life.after(ms * 1000, resolve))
}
