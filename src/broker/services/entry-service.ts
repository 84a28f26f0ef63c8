import type { Handler } from '../../env/index.ts'
import { encodeEntryHead } from '../../log/index.ts'
import { asGroupId, type LogStorage } from '../../log/types.ts'
import { asLogIndex } from '../../raft/types.ts'
import { FlotillaError } from '../../wire/errors.ts'
import { readEntryMethod, type ReadEntryRequest, type ReadEntryResponse } from '../peers/peer-methods.ts'
import { answering } from './answering.ts'

/** PeerService.ReadEntry: what this node's disk has of one entry, for a replica whose own bytes of it have rotted. */
export class EntryService {
  readonly #storage: Pick<LogStorage, 'readEntries' | 'has'>

  constructor(storage: Pick<LogStorage, 'readEntries' | 'has'>) {
    this.#storage = storage
  }

  handlers(): Handler[] {
    return [answering(readEntryMethod, (request) => this.#read(request))]
  }

  /** Straight from the disk: were it to ask others in turn, two damaged replicas would ask each other. */
  async #read({ groupId, index }: ReadEntryRequest): Promise<ReadEntryResponse> {
    const group = asGroupId(groupId)
    const at = asLogIndex(index)
    const [entry] = this.#storage.has(group) ? await this.#storage.readEntries(group, at, at, 0) : []
    if (entry === undefined)
      throw new FlotillaError('REPLICA_UNAVAILABLE', `entry ${index} of group ${groupId} isn't here`)
    return { entry: Buffer.concat([encodeEntryHead(entry), ...entry.payload]) }
  }
}
