import type { DescribeClusterResponse } from '../../src/client/index.ts'
import type { Report } from './violation.ts'

/** Compares what replicas say of themselves: equal indexes have equal digests, watermarks only rise. */
export class ReplicaChecker {
  readonly #report: Report
  readonly #digests = new Map<string, { readonly digest: string; readonly nodeId: string }>()
  readonly #watermarks = new Map<string, number>()
  readonly #leaders = new Map<string, string>()
  elections = 0

  constructor(report: Report) {
    this.#report = report
  }

  /**
   * `lifeOf` names a node's replica in a process that answered: one that has moved away and comes again in the same process
   * is another, by the life of its disk. Calls must not overlap.
   */
  described(
    { replicas }: DescribeClusterResponse,
    lifeOf: (nodeId: string, groupId: number) => string | undefined,
  ): void {
    for (const {
      groupId,
      nodeId,
      appliedIndex,
      commitDigest,
      highWatermark,
      unavailableReason,
    } of replicas) {
      if (unavailableReason !== undefined || appliedIndex === 0 || commitDigest === '0') continue
      const place = `${groupId}@${appliedIndex}`
      const known = this.#digests.get(place)
      if (known === undefined) this.#digests.set(place, { digest: commitDigest, nodeId })
      else if (known.digest !== commitDigest) {
        this.#report(
          'divergence',
          `group ${groupId} at ${appliedIndex}: ${known.nodeId} and ${nodeId} differ`,
        )
      }
      const life = lifeOf(nodeId, groupId)
      if (life === undefined) continue
      const replica = `${groupId}@${life}`
      const before = this.#watermarks.get(replica) ?? 0
      if (highWatermark < before) {
        this.#report('watermark-back', `group ${groupId} on ${life}: ${before}, then ${highWatermark}`)
      }
      this.#watermarks.set(replica, highWatermark)
    }
  }

  /** A node says that it leads. */
  leads(groupId: number, term: number, nodeId: string): void {
    const name = `${groupId}:${term}`
    const known = this.#leaders.get(name)
    if (known === undefined) {
      this.#leaders.set(name, nodeId)
      this.elections++
    } else if (known !== nodeId) {
      this.#report('two-leaders', `group ${groupId}, term ${term}: ${known} and ${nodeId}`)
    }
  }
}
