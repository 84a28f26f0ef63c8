import type { Clock, Logger } from '../env/index.ts'
import { DamagedEntryError, decodeEntry, MalformedBytesError } from '../log/index.ts'
import type { GroupId, LogStorage } from '../log/types.ts'
import type { Entry, LogIndex, NodeId } from '../raft/types.ts'
import { membersOf } from '../raft/index.ts'
import { readEntryMethod } from './peers/peer-methods.ts'
import type { Replica } from './replica.ts'
import type { NodeConnections } from './routing/connections.ts'

/** How long another replica may take for one entry. */
const ASK_MS = 5000
/** Nobody is asked again so soon for an entry that nobody had. */
const AGAIN_MS = 3000
/** So many of those are remembered. */
const MOST_MISSING = 1000

export interface EntryReadsHost {
  readonly nodeId: NodeId
  readonly storage: Pick<LogStorage, 'readEntries' | 'restorePayload'>
  readonly connections: Pick<NodeConnections, 'to'>
  /** All nodes with a replica of the group, as far as this one knows. */
  membersOf(groupId: GroupId): readonly NodeId[]
  addressOf(nodeId: NodeId): string | undefined
}

export function entryReadsHost(node: {
  readonly nodeId: NodeId
  readonly storage: LogStorage
  readonly connections: NodeConnections
  readonly loop: { readonly replicas: ReadonlyMap<GroupId, Replica> }
  addressOf(nodeId: NodeId): string | undefined
}): EntryReadsHost {
  const { nodeId, storage, connections, loop } = node
  return {
    nodeId,
    storage,
    connections,
    membersOf: (groupId) => {
      const replica = loop.replicas.get(groupId)
      return replica === undefined ? [] : membersOf(replica.status().configuration)
    },
    addressOf: (id) => node.addressOf(id),
  }
}

/**
 * Reads entries from this node's disk. A payload in a segment whose bytes have rotted is asked for from the other replicas
 * and written where it belongs: what a replica has of an entry is the same on each of them, and the head, which lies in
 * LevelDB with a checksum of its own, says which bytes are the right ones. So neither the node's place in the group nor what
 * it has promised changes (Alagappan et al., Protocol-Aware Recovery for Consensus-Based Storage, FAST '18).
 */
export class EntryReads {
  readonly #host: EntryReadsHost
  readonly #clock: Clock
  readonly #logger: Logger
  /** Payloads that are being restored, by group and index. */
  readonly #underWay = new Map<string, Promise<boolean>>()
  /** When nobody had it, on Clock.nowMs; the oldest first. */
  readonly #missing = new Map<string, number>()

  constructor(host: EntryReadsHost, clock: Clock, logger: Logger) {
    this.#host = host
    this.#clock = clock
    this.#logger = logger
  }

  /** As LogStorage.readEntries; throws its DamagedEntryError where no other replica has the payload either. */
  async read(...range: Parameters<LogStorage['readEntries']>): Promise<Entry[]> {
    let restored = 0
    for (;;) {
      try {
        return await this.#host.storage.readEntries(...range)
      } catch (error) {
        // An entry is restored once a read: a disk that garbles it again gets no other try.
        const isRestorable = error instanceof DamagedEntryError && error.segment !== undefined
        if (!isRestorable || error.index <= restored || !(await this.#restoreOnce(error))) throw error
        restored = error.index
      }
    }
  }

  async #restoreOnce(damage: DamagedEntryError): Promise<boolean> {
    const key = `${damage.groupId}/${damage.index}`
    const missingSinceMs = this.#missing.get(key)
    if (missingSinceMs !== undefined && this.#clock.nowMs() - missingSinceMs < AGAIN_MS) return false
    let running = this.#underWay.get(key)
    if (running === undefined) {
      running = this.#restore(damage).finally(() => this.#underWay.delete(key))
      this.#underWay.set(key, running)
    }
    return running
  }

  async #restore({ groupId, index, message }: DamagedEntryError): Promise<boolean> {
    for (const nodeId of this.#host.membersOf(groupId)) {
      const address = nodeId === this.#host.nodeId ? undefined : this.#host.addressOf(nodeId)
      if (address === undefined) continue
      const entry = await this.#ask(address, groupId, index)
      if (entry === undefined || !(await this.#host.storage.restorePayload(groupId, entry))) continue
      this.#logger.warn(
        { group: groupId, index, from: nodeId, damage: message },
        'a damaged payload was restored from another replica',
      )
      this.#missing.delete(`${groupId}/${index}`)
      return true
    }
    this.#isMissing(`${groupId}/${index}`)
    this.#logger.error(
      { group: groupId, index, damage: message },
      'a payload is damaged, and no other replica that can be reached has it',
    )
    return false
  }

  #isMissing(key: string): void {
    this.#missing.delete(key)
    this.#missing.set(key, this.#clock.nowMs())
    const [oldest] = this.#missing.keys()
    if (this.#missing.size > MOST_MISSING && oldest !== undefined) this.#missing.delete(oldest)
  }

  /** Undefined where that node doesn't have it, or can't be asked. */
  async #ask(address: string, groupId: GroupId, index: LogIndex): Promise<Entry | undefined> {
    try {
      const { entry } = await this.#host.connections
        .to(address)
        .unary(readEntryMethod, { groupId, index }, { deadlineMs: this.#clock.nowMs() + ASK_MS })
      return decodeEntry(entry).entry
    } catch (error) {
      const isMalformed = error instanceof MalformedBytesError
      this.#logger.debug(
        { group: groupId, index, address, isMalformed, error: String(error) },
        'not restored',
      )
      return undefined
    }
  }
}
