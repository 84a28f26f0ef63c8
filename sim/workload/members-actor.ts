import type { SimClient } from '../cluster/client.ts'
import { TOPIC, type Scene } from './scene.ts'
import type { Work } from './work.ts'

const CALL_MS = 4000
/** An operator waits so long for a node to be empty. */
const DRAIN_MS = 15_000
const LOOK_MS = 200

/** An operator who changes who takes part. */
export class MembersActor {
  readonly #scene: Scene
  readonly #client: SimClient
  #leaving = false

  constructor(scene: Scene, client: SimClient) {
    this.#scene = scene
    this.#client = client
  }

  /** To nodes that are drawn; now and then back to where the replicas are, which calls a move off. */
  async move({ actor, amount }: Work): Promise<void> {
    const { client } = this.#client
    const { world } = this.#scene
    try {
      const number = this.#scene.partition(actor)
      const { partitions } = await client.topics.describe(TOPIC, { timeoutMs: CALL_MS })
      const { replicaNodeIds: here, targetNodeIds = [] } = partitions[number]!
      const { nodes } = await client.cluster.describe({ timeoutMs: CALL_MS })
      if (nodes.length === 0) return
      const start = amount % nodes.length
      const drawn = [...nodes.slice(start), ...nodes.slice(0, start)].slice(0, here.length)
      const isCallingOff = targetNodeIds.length > 0 && amount % 2 === 0
      const wanted = isCallingOff ? here : drawn.map(({ nodeId }) => nodeId)
      if (!isCallingOff && wanted.every((nodeId) => here.includes(nodeId))) return
      await client.cluster.moveReplicas(TOPIC, number, wanted, { timeoutMs: CALL_MS })
      world.note(`partition ${number} moves from ${here.join(', ')} to ${wanted.join(', ')}`)
      world.struck('move')
    } catch (error) {
      this.#scene.failure(error)
    }
  }

  /** Counted when the cluster knows the node. */
  join(): void {
    this.#scene.world.nodes.find(({ isOutside }) => isOutside)?.join()
  }

  async leave({ amount }: Work): Promise<void> {
    // Two at once may each wait for the other to take its replicas.
    if (this.#leaving) return
    this.#leaving = true
    try {
      await this.#drainAndRemove(amount)
    } catch (error) {
      this.#scene.failure(error)
    }
    this.#leaving = false
  }

  async #drainAndRemove(amount: number): Promise<void> {
    const { client, life } = this.#client
    const { world } = this.#scene
    const { nodes } = await client.cluster.describe({ timeoutMs: CALL_MS })
    // A node that just began with an empty disk knows of none.
    const nodeId = nodes[amount % nodes.length]?.nodeId
    if (nodeId === undefined) return
    const untilMs = world.timeline.nowMs + DRAIN_MS
    while ((await client.cluster.drainNode(nodeId, { timeoutMs: CALL_MS })).remaining > 0) {
      if (world.timeline.nowMs > untilMs) return
      await new Promise<void>((resolve) => void life.after(LOOK_MS * 1000, resolve))
    }
    world.note(`${nodeId} is empty`)
    world.leaving.add(nodeId)
    await client.cluster.removeNode(nodeId, { timeoutMs: CALL_MS })
    world.note(`${nodeId} is removed`)
    world.struck('leave')
  }
}
