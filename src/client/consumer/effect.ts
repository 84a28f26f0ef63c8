import type { ConsumeRequest } from '../../wire/index.ts'
import type { GivenPartition, PartitionName } from '../types.ts'
import type { HeldPartition } from './held-partition.ts'

/** What the shell has to do, in this order. */
export type Effect =
  /** Opens a stream to the next node. */
  | { readonly type: 'open' }
  | { readonly type: 'send'; readonly message: ConsumeRequest }
  /** Renews the lease: with others of the client whose streams end at the same node, or else by this message. */
  | { readonly type: 'beat'; readonly message: ConsumeRequest }
  /** Sends no more, and waits for the node to end the stream. */
  | { readonly type: 'half-close' }
  /** Gives the stream up; what it still says counts no more. */
  | { readonly type: 'cut' }
  | { readonly type: 'assigned'; readonly partitions: readonly GivenPartition[] }
  | { readonly type: 'revoked'; readonly held: readonly HeldPartition[] }
  | { readonly type: 'lost'; readonly partitions: readonly PartitionName[]; readonly error: Error }
  | { readonly type: 'stuck'; readonly partitions: readonly PartitionName[]; readonly forMs: number }
  /** With an error: it failed. */
  | { readonly type: 'over'; readonly error: Error | undefined }
