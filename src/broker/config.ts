/** A member of the cluster as every node's settings name it. */
export interface ClusterMember {
  readonly nodeId: string
  /** HOST:PORT where its peers and clients reach it. */
  readonly address: string
}

/**
 * What a node may hold and how it keeps time. Everything is optional; a figure left out has the default that is named
 * here. The CLI checks the ranges before a node sees them.
 */
export interface ServerLimits {
  /** The largest record, key and headers included. Default 1 MiB. */
  readonly maxRecordBytes?: number
  /** The largest encoded batch. Default 4 MiB. */
  readonly maxBatchBytes?: number
  /** Bytes of appends without an answer yet, per connection. Default 16 MiB. */
  readonly maxInflightBytesPerConnection?: number
  /** Bytes of appends without an answer yet, per partition. Default 64 MiB. */
  readonly maxInflightBytesPerPartition?: number
  /** Bytes of appends without an answer yet, over all connections of the node. Default 256 MiB. */
  readonly maxInflightBytesPerNode?: number
  /** Partitions of a topic. Default 1,024. */
  readonly maxPartitionsPerTopic?: number
  /** Replicas that one node hosts. Default 10,000. */
  readonly maxReplicasPerNode?: number
  /** Streams of clients that are open at once. Default 4,096. */
  readonly maxOpenStreams?: number
  /** One tick of the Raft groups. Default 50 ms. */
  readonly tickMs?: number
  /** A follower without a leader stands for election after this and up to twice as long. Default 500 ms; a multiple of tickMs. */
  readonly electionTimeoutMs?: number
  /** A leader's heartbeats. Default 100 ms; a multiple of tickMs. */
  readonly heartbeatMs?: number
  /** A leader whose disk answers nothing for so long steps down. Default 5,000 ms. */
  readonly stalledDiskMs?: number
  /** Payloads of so many bytes and more go to segment files. Default 4,096. */
  readonly segmentThresholdBytes?: number
  /** A segment file is closed at this size. Default 64 MiB. */
  readonly segmentBytes?: number
  /** A turn of more groups than this writes its smaller payloads to one file that all groups share. Default 4. */
  readonly crowdedAboveGroups?: number
  /** From so many bytes on payloads of such a turn go there, not to LevelDB. Default 1,024. */
  readonly sharedThresholdBytes?: number
  /** A shared segment is closed at this size. Default 16 MiB. */
  readonly sharedSegmentBytes?: number
  /** So much stays in closed shared segments before the oldest is moved to the groups' own. Default 1 GiB. */
  readonly sharedBytes?: number
  /** Of each replica's log the newest bytes that stay in memory, a quarter of them and at most 1 MiB from a start on; older ones are read from the disk. Default 8 MiB. */
  readonly windowBytes?: number
  /** The same of all replicas that aren't quiet, which share it evenly; the quiet ones share as much again. Default 16 MiB. */
  readonly windowBytesPerNode?: number
  /** A partition's folded state is stored after so many entries: a start folds what came after it again. Default 2,000. */
  readonly saveStateEntries?: number
  /** The metadata group's log is cut behind its stored state when it is so many entries longer. Default 1,000. */
  readonly metadataCompactEntries?: number
  /** The longest that an append waits for a majority; then its outcome is unknown. Default 30,000 ms. */
  readonly appendTimeoutMs?: number
  /** At a stop, so long at most to hand leadership over and to finish what is under way. Default 5,000 ms. */
  readonly shutdownMs?: number
}

/** The settings of one node, complete and checked. */
export interface ServerConfig {
  /** 1 to 249 of a-z, A-Z, 0-9, ".", "_" and "-"; not "." or "..". */
  readonly nodeId: string
  /** HOST:PORT to bind; port 0 takes a free one (for tests: the other nodes have to know the real one). */
  readonly listen: string
  /** The node's own folder: one node, one folder. */
  readonly dataDirectory: string
  /** Every node that the cluster starts with, this one included; the same list on every node. Empty with `join`. */
  readonly cluster: readonly ClusterMember[]
  /**
   * In place of `cluster`, which is empty then: addresses of nodes of a cluster that is there. The node is taken in as a
   * new one the first time that it starts.
   */
  readonly join?: readonly string[]
  /** A node doesn't talk to nodes of a cluster with another name. */
  readonly clusterName: string
  /** Replicas of a partition are kept on different hosts as far as there are enough. Default: the node id. */
  readonly hostLabel: string
  readonly limits?: ServerLimits
}
