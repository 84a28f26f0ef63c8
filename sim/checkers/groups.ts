import type { Report } from './violation.ts'

interface Assigned {
  readonly owner: string
  /** What was committed when it was taken, as the partition's leader said. */
  readonly committed: number | undefined
}

/**
 * What members of a consumer group were told and did, against what a group promises. By partition; `owner` names one member in
 * one incarnation.
 */
export class GroupLedger {
  readonly #report: Report
  /** By partition, then epoch. */
  readonly #assigned = new Map<number, Map<number, Assigned>>()
  /** By partition, then epoch: the highest commit that was acknowledged under it. */
  readonly #committed = new Map<number, Map<number, number>>()
  readonly #handled = new Map<number, boolean[]>()
  handled = 0
  handledAgain = 0
  commits = 0

  constructor(report: Report) {
    this.#report = report
  }

  assigned(
    partition: number,
    epoch: number,
    owner: string,
    startOffset: number,
    committed: number | undefined,
  ): void {
    const epochs = mapOf(this.#assigned, partition)
    const known = epochs.get(epoch)
    if (known !== undefined && known.owner !== owner) {
      this.#report(
        'group-two-owners',
        `partition ${partition} belongs to ${known.owner} and to ${owner} under epoch ${epoch}`,
      )
    }
    if (startOffset !== (committed ?? 0)) {
      this.#report(
        'group-unhandled',
        `partition ${partition} starts at ${startOffset}, and ${committed} is committed`,
      )
    }
    if (known === undefined) epochs.set(epoch, { owner, committed })
    for (const [earlier, offset] of mapOf(this.#committed, partition)) {
      if (earlier < epoch && offset > (committed ?? 0))
        this.#lost(partition, earlier, offset, epoch, committed)
    }
  }

  /** A commit was acknowledged. */
  committed(partition: number, epoch: number, offset: number): void {
    this.commits++
    const epochs = mapOf(this.#committed, partition)
    epochs.set(epoch, Math.max(offset, epochs.get(epoch) ?? 0))
    for (const [later, { committed }] of mapOf(this.#assigned, partition)) {
      if (later > epoch && offset > (committed ?? 0)) this.#lost(partition, epoch, offset, later, committed)
    }
  }

  handles(partition: number, epoch: number, offset: number, owner: string): void {
    const known = mapOf(this.#assigned, partition).get(epoch)
    if (known?.owner !== owner) {
      this.#report(
        'group-two-owners',
        `${owner} was sent ${partition}/${offset} under epoch ${epoch} of ${known?.owner ?? 'nobody'}`,
      )
    }
    if (offset < (known?.committed ?? 0)) {
      this.#report(
        'group-repeated',
        `${owner} was sent ${partition}/${offset} under epoch ${epoch}, and ${known?.committed} was committed before it`,
      )
    }
    const handled = this.#handledIn(partition)
    if (handled[offset] === true) this.handledAgain++
    handled[offset] = true
    this.handled++
  }

  /** What a leader that has confirmed its place says is committed. */
  seenCommitted(partition: number, offset: number, end: number): void {
    if (offset > end)
      this.#report('group-commit-lost', `partition ${partition} ends at ${end}, and ${offset} is committed`)
  }

  /** The highest commit that was acknowledged; what is asked for after this can't be lower. */
  floor(partition: number): number {
    return Math.max(0, ...mapOf(this.#committed, partition).values())
  }

  isBelowFloor(partition: number, floor: number, offset: number): void {
    if (offset < floor)
      this.#report(
        'group-commit-lost',
        `partition ${partition} has ${offset} committed, and ${floor} was acknowledged`,
      )
  }

  /** When the group has committed all: everything must have been handled by somebody. */
  finish(partition: number, end: number): void {
    const handled = this.#handledIn(partition)
    for (let offset = 0; offset < end; offset++) {
      if (handled[offset] === true) continue
      this.#report('group-unhandled', `${partition}/${offset} was committed, and nobody has handled it`)
      return
    }
  }

  #lost(
    partition: number,
    epoch: number,
    offset: number,
    later: number,
    committed: number | undefined,
  ): void {
    this.#report(
      'group-old-commit',
      `partition ${partition}: ${offset} was acknowledged under epoch ${epoch}, and epoch ${later} began with ${committed ?? 'nothing'} committed`,
    )
  }

  #handledIn(partition: number): boolean[] {
    let handled = this.#handled.get(partition)
    if (handled === undefined) this.#handled.set(partition, (handled = []))
    return handled
  }
}

function mapOf<V>(maps: Map<number, Map<number, V>>, partition: number): Map<number, V> {
  let map = maps.get(partition)
  if (map === undefined) maps.set(partition, (map = new Map()))
  return map
}
