import type { Cancel, Clock, Logger, Random } from '../env/index.ts'
import { FlotillaError } from '../wire/errors.ts'
import type { NodeEntry } from './metadata/events.ts'
import { METADATA_GROUP, type Node } from './node.ts'
import { registerNodeMethod } from './peers/peer-methods.ts'
import { FORWARDED } from './routing/connections.ts'

const RETRY_MS = 100
const CALL_MS = 2000

/**
 * What a node does so that the cluster knows it: the first leader of the metadata group creates the cluster, and every
 * node has itself entered with its address and host label, again whenever they change.
 */
export class Registration {
  readonly #node: Node
  readonly #entry: NodeEntry
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  #cancel: Cancel | undefined
  #closed = false
  #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = []

  constructor(
    node: Node,
    entry: NodeEntry,
    env: { readonly clock: Clock; readonly random: Random; readonly logger: Logger },
  ) {
    this.#node = node
    this.#entry = entry
    this.#clock = env.clock
    this.#random = env.random
    this.#logger = env.logger
  }

  start(): void {
    void this.#attempt()
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
    const error = new FlotillaError(
      'SHUTTING_DOWN',
      `node ${this.#entry.nodeId} was closed before the cluster knew it`,
    )
    for (const { reject } of this.#waiting) reject(error)
    this.#waiting = []
  }

  /** Resolves once the cluster knows this node; rejects with SHUTTING_DOWN where it is closed before. */
  done(): Promise<void> {
    if (this.#isDone()) return Promise.resolve()
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  #isDone(): boolean {
    const { clusterId, nodes } = this.#node.view.state
    const known = nodes.get(this.#entry.nodeId)
    return (
      clusterId !== '' && known?.address === this.#entry.address && known.hostLabel === this.#entry.hostLabel
    )
  }

  async #attempt(): Promise<void> {
    if (this.#closed) return
    if (this.#isDone()) {
      for (const { resolve } of this.#waiting) resolve()
      this.#waiting = []
      return
    }
    try {
      await this.#register()
    } catch (error) {
      this.#logger.debug({ error: String(error) }, 'registration will be tried again')
    }
    if (this.#closed) return
    this.#cancel = this.#clock.setTimer(this.#isDone() ? 0 : RETRY_MS, () => void this.#attempt())
  }

  async #register(): Promise<void> {
    const deadlineMs = this.#clock.nowMs() + CALL_MS
    const leader = await this.#node.leaders.waitFor(METADATA_GROUP, deadlineMs)
    if (leader === undefined) return
    if (leader === this.#node.nodeId) {
      const clusterId = Buffer.from(this.#random.bytes(16)).toString('hex')
      await this.#node.changeMetadata({ type: 'createCluster', clusterId }, deadlineMs)
      await this.#node.changeMetadata({ type: 'registerNode', node: this.#entry }, deadlineMs)
      return
    }
    const address = this.#node.addressOf(leader)
    if (address === undefined) return
    await this.#node.connections
      .to(address)
      .unary(registerNodeMethod, this.#entry, { deadlineMs, metadata: { [FORWARDED]: '1' } })
  }
}
