import type { TopicMessage } from '../../src/client/index.ts'
import type { SimClient } from '../cluster/client.ts'
import type { SimNode } from '../cluster/node.ts'
import { TOPIC, type Scene } from './scene.ts'
import type { Work } from './work.ts'

const CALL_MS = 4000

/** An operator: looks, moves leaders, creates and deletes topics that somebody uses. */
export class OperatorActor {
  readonly host = 'operator'
  readonly #scene: Scene
  readonly #client: SimClient
  #describing = false
  #topics = 0
  readonly #created: TopicMessage[] = []

  constructor(scene: Scene) {
    this.#scene = scene
    this.#client = scene.client(this.host)
  }

  get client(): SimClient {
    return this.#client
  }

  async describe(): Promise<void> {
    // One at a time: what replicas say of themselves must not overtake itself.
    if (this.#describing) return
    this.#describing = true
    const { world } = this.#scene
    const before = livesOf(world.nodes)
    try {
      const reply = await this.#client.client.cluster.describe({ timeoutMs: CALL_MS })
      const after = livesOf(world.nodes)
      // Where a process or a replica began anew meanwhile, nobody knows which of the two has answered.
      world.replicas.described(reply, (nodeId, groupId) => {
        const life = before.get(nodeId)?.(groupId)
        return life === after.get(nodeId)?.(groupId) ? life : undefined
      })
    } catch (error) {
      this.#scene.failure(error)
    }
    this.#describing = false
  }

  async transfer({ actor, amount }: Work): Promise<void> {
    const { members } = this.#scene.world
    const to = amount % 3 === 0 ? undefined : members[amount % members.length]!.nodeId
    try {
      await this.#client.client.cluster.transferLeadership(TOPIC, this.#scene.partition(actor), {
        timeoutMs: CALL_MS,
        ...(to === undefined ? {} : { to }),
      })
      this.#scene.world.struck('transfer')
    } catch (error) {
      this.#scene.failure(error)
    }
  }

  async createTopic({ amount }: Work): Promise<void> {
    const name = `temporary-${++this.#topics}`
    try {
      const topic = await this.#client.client.topics.create(name, {
        partitions: 1 + (amount % 3),
        replicationFactor: this.#scene.world.nodes.length >= 3 && amount % 2 === 0 ? 3 : 1,
        timeoutMs: CALL_MS,
      })
      this.#scene.world.struck('topic-create')
      this.#created.push(topic)
      this.#use(name)
    } catch (error) {
      this.#scene.failure(error)
    }
  }

  async deleteTopic(): Promise<void> {
    const topic = this.#created.shift()
    if (topic === undefined) return
    const { name } = topic
    this.#use(name)
    try {
      await this.#client.client.topics.delete(name, { timeoutMs: CALL_MS })
      this.#scene.world.struck('topic-delete')
    } catch (error) {
      this.#scene.failure(error)
    }
  }

  /** Somebody appends to it, whatever becomes of it. */
  #use(name: string): void {
    const producer = this.#client.client.producer({ deliveryTimeoutMs: 3000 })
    const ends = Array.from({ length: 10 }, (_, number) =>
      producer.send({ topic: name, key: `k${number}`, value: `${number}` }).catch((error: unknown) => {
        this.#scene.failure(error)
      }),
    )
    void Promise.all(ends).then(() => producer.close())
  }
}

/** By node, of a group: which process says it, and under which life of its disk. */
function livesOf(nodes: readonly SimNode[]): Map<string, (groupId: number) => string> {
  return new Map(
    nodes.flatMap((node) => {
      const name = node.life?.name
      if (name === undefined) return []
      const lives = node.livesOfGroups()
      return [[node.id, (groupId: number) => `${name}/${lives.get(groupId) ?? 0}`] as const]
    }),
  )
}
