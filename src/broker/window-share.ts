/** The newest entries of the logs that a node keeps in memory. */
export interface WindowLimits {
  /** Of one replica, at most. */
  readonly perReplicaBytes: number
  /** Of all that aren't quiet; the quiet ones together have as much again. */
  readonly perNodeBytes: number
}

const LEAST_BYTES = 16 * 1024

/**
 * The window of each of `count` replicas: an equal part of what the node has for them, rounded down to a power of two, so that
 * a group more or less seldom moves them all.
 */
export function windowShare({ perReplicaBytes, perNodeBytes }: WindowLimits, count: number): number {
  const part = Math.max(LEAST_BYTES, perNodeBytes / Math.max(1, count))
  return Math.min(perReplicaBytes, 2 ** Math.floor(Math.log2(part)))
}
