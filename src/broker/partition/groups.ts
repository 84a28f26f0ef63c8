import { FlotillaError, GROUP_LIMITS } from '../../wire/index.ts'
import type { GroupCommand, GroupMark, GroupPosition } from '../groups/types.ts'

/** What the leader makes of a command: a mark to log, nothing to log as it is so already, or a refusal. */
export type GroupDecision =
  | { readonly type: 'mark'; readonly mark: GroupMark }
  | { readonly type: 'nothing' }
  | { readonly type: 'refused'; readonly error: FlotillaError }

const NOTHING = { type: 'nothing' } as const

/**
 * Where each consumer group stands in a partition, and who may move it on. Part of the folded state: it survives failover,
 * restart and snapshot, and changes only by folding committed marks.
 */
export class GroupTable {
  // A position is never changed in place.
  readonly #positions = new Map<string, GroupPosition>()

  get size(): number {
    return this.#positions.size
  }

  get(group: string): GroupPosition | undefined {
    return this.#positions.get(group)
  }

  entries(): IterableIterator<[string, GroupPosition]> {
    return this.#positions.entries()
  }

  restore(group: string, position: GroupPosition): void {
    this.#positions.set(group, position)
  }

  clone(): GroupTable {
    const copy = new GroupTable()
    for (const [group, position] of this.#positions) copy.#positions.set(group, position)
    return copy
  }

  /** `highWatermark` is what is committed, not what the leader has proposed: nobody has read more. */
  decide(command: GroupCommand, highWatermark: number, lowOffset: number): GroupDecision {
    const position = this.#positions.get(command.group)
    switch (command.type) {
      case 'take':
        return this.#decideTake(command, position, highWatermark)
      case 'commit':
        return decideCommit(command, position, highWatermark, lowOffset)
      case 'forget':
        if (position === undefined || position.epoch >= command.beforeEpoch) return NOTHING
        return { type: 'mark', mark: { type: 'forgotten', group: command.group } }
    }
  }

  #decideTake(
    { group, epoch, owner, sinceEpoch, reset }: Extract<GroupCommand, { type: 'take' }>,
    position: GroupPosition | undefined,
    highWatermark: number,
  ): GroupDecision {
    if (position !== undefined && position.epoch >= epoch) {
      if (position.epoch === epoch && position.owner === owner) return NOTHING
      return refused(
        'STALE_GROUP_EPOCH',
        `group "${group}" is at epoch ${position.epoch} here, so epoch ${epoch} can't take the partition any more`,
      )
    }
    if (position === undefined && this.#positions.size >= GROUP_LIMITS.maxGroupsPerPartition) {
      return refused(
        'LIMIT_EXCEEDED',
        `the partition keeps the offsets of ${this.#positions.size} groups, which is the limit; delete some (flotilla group delete)`,
      )
    }
    const isOfAnother = position !== undefined && position.epoch < sinceEpoch
    const isReset = reset !== undefined && (position === undefined || position.epoch < reset.epoch)
    // Whoever asked for the reset has checked it; a partition that nobody can take would be worse than one at its end.
    const committed = isReset ? Math.min(reset.offset, highWatermark) : isOfAnother ? 'cleared' : 'kept'
    return { type: 'mark', mark: { type: 'fenced', group, epoch, owner, committed } }
  }

  /** Can't fail on a mark that a leader decided. */
  fold(mark: GroupMark, timeMs: number): void {
    const position = this.#positions.get(mark.group)
    switch (mark.type) {
      case 'fenced': {
        const kept = mark.committed === 'kept' ? position?.committedOffset : undefined
        const committedOffset = typeof mark.committed === 'number' ? mark.committed : kept
        const commitTimeMs = mark.committed === 'kept' ? (position?.commitTimeMs ?? 0) : timeMs
        this.#positions.set(mark.group, {
          epoch: mark.epoch,
          owner: mark.owner,
          committedOffset,
          commitTimeMs: committedOffset === undefined ? 0 : commitTimeMs,
        })
        break
      }
      case 'committed':
        this.#positions.set(mark.group, {
          epoch: position?.epoch ?? 0,
          owner: position?.owner ?? '',
          committedOffset: mark.offset,
          commitTimeMs: timeMs,
        })
        break
      case 'forgotten':
        this.#positions.delete(mark.group)
        break
    }
  }
}

function decideCommit(
  { group, epoch, owner, offset }: Extract<GroupCommand, { type: 'commit' }>,
  position: GroupPosition | undefined,
  highWatermark: number,
  lowOffset: number,
): GroupDecision {
  if (position === undefined) {
    return refused(
      'UNKNOWN_GROUP',
      `group "${group}" has never had this partition, so nothing can be committed for it`,
    )
  }
  if (epoch < position.epoch) {
    return refused(
      'STALE_GROUP_EPOCH',
      `member "${owner}" commits under epoch ${epoch}, but group "${group}" is at epoch ${position.epoch} here` +
        (position.owner === '' ? '' : `, which is owned by "${position.owner}"`),
    )
  }
  if (epoch > position.epoch || owner !== position.owner) {
    return refused(
      'PARTITION_NOT_OWNED',
      `member "${owner}" commits under epoch ${epoch}, but ` +
        (position.owner === '' ? 'nobody' : `"${position.owner}"`) +
        ` owns the partition, under epoch ${position.epoch}`,
    )
  }
  if (offset < 0 || offset > highWatermark) {
    return {
      type: 'refused',
      error: new FlotillaError('OFFSET_OUT_OF_RANGE', beyondEnd(group, offset, highWatermark), {
        offsetRange: { lowOffset, highWatermark },
      }),
    }
  }
  const committed = position.committedOffset
  if (committed === offset) return NOTHING
  if (committed !== undefined && offset < committed) {
    return refused(
      'COMMIT_BACKWARDS',
      `group "${group}" has committed ${committed}, and a commit of ${offset} would go back; reset the group for that`,
    )
  }
  return { type: 'mark', mark: { type: 'committed', group, offset } }
}

function beyondEnd(group: string, offset: number, highWatermark: number): string {
  return `offset ${offset} can't be committed for group "${group}": the partition holds committed records up to ${highWatermark}`
}

function refused(
  reason:
    'STALE_GROUP_EPOCH' | 'PARTITION_NOT_OWNED' | 'UNKNOWN_GROUP' | 'COMMIT_BACKWARDS' | 'LIMIT_EXCEEDED',
  message: string,
): GroupDecision {
  return { type: 'refused', error: new FlotillaError(reason, message) }
}
