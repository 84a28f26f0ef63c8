import type { CallContext } from '../../env/index.ts'
import {
  FlotillaError,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
  type ResetGroupOffsetsRequest,
  type ResetGroupOffsetsResponse,
  type ResetOffset,
} from '../../wire/index.ts'
import type { Node } from '../node.ts'
import { unknownGroup } from './decide.ts'
import type { GroupCalls } from './group-calls.ts'

/**
 * Moves a group's committed offsets where an operator wants them. The coordinator notes the reset with an epoch of its own,
 * which fences the members; then each partition's leader logs it. One that isn't reached applies it when it is taken next.
 */
export class GroupReset {
  readonly #node: Node
  readonly #calls: GroupCalls
  readonly #listOffsets: (request: ListOffsetsRequest, call: CallContext) => Promise<ListOffsetsResponse>

  constructor(
    node: Node,
    calls: GroupCalls,
    listOffsets: (request: ListOffsetsRequest, call: CallContext) => Promise<ListOffsetsResponse>,
  ) {
    this.#node = node
    this.#calls = calls
    this.#listOffsets = listOffsets
  }

  async reset(
    request: ResetGroupOffsetsRequest,
    call: CallContext,
    deadlineMs: number,
  ): Promise<ResetGroupOffsetsResponse> {
    const { group, topic, dryRun = false, force = false } = request
    if (this.#node.view.state.groups.get(group) === undefined) throw unknownGroup(group)
    const partitions = this.#partitionsOf(request)
    const offsets = await Promise.all(
      partitions.map((partition) => this.#resetOf(request, partition, call, deadlineMs)),
    )
    if (dryRun) return { offsets }
    const noted = offsets.map(({ partition, toOffset }) => ({ partition, offset: toOffset }))
    const result = await this.#calls.change(
      { type: 'reset', group, topic, offsets: noted, force },
      deadlineMs,
    )
    if (result.type !== 'reset') throw new FlotillaError('INTERNAL', `resetting a group gave ${result.type}`)
    const { epoch, sinceEpoch } = result
    await Promise.all(
      noted.map(({ partition, offset }) =>
        this.#apply(group, topic, partition, epoch, sinceEpoch, offset, deadlineMs),
      ),
    )
    return { offsets }
  }

  #partitionsOf({ topic, partitions = [] }: ResetGroupOffsetsRequest): number[] {
    const layout = this.#node.view.topic(topic)
    if (partitions.length === 0) return layout.partitions.map(({ partition }) => partition)
    for (const partition of partitions) this.#node.view.partition(topic, partition)
    return [...new Set(partitions)]
  }

  async #resetOf(
    request: ResetGroupOffsetsRequest,
    partition: number,
    call: CallContext,
    deadlineMs: number,
  ): Promise<ResetOffset> {
    const { group, topic, time } = request
    const ask = { type: 'fetch', group } as const
    const { position, lowOffset, highWatermark } = await this.#calls.ask(
      { topic, partition, ask },
      deadlineMs,
    )
    let toOffset: number
    if (request.offset !== undefined) {
      toOffset = request.offset
      if (toOffset < lowOffset || toOffset > highWatermark) {
        throw new FlotillaError(
          'OFFSET_OUT_OF_RANGE',
          `partition ${partition} of "${topic}" can't be reset to ${toOffset}: it holds ${lowOffset} to ${highWatermark} (the end)`,
          { offsetRange: { lowOffset, highWatermark } },
        )
      }
    } else if (time !== undefined && time !== null) {
      const consistency = 'READ_CONSISTENCY_LINEARIZABLE'
      const { offsetForTime } = await this.#listOffsets({ topic, partition, time, consistency }, call)
      toOffset = offsetForTime ?? highWatermark
    } else if (request.position === 'START_POSITION_BEGINNING') toOffset = lowOffset
    else if (request.position === 'START_POSITION_END') toOffset = highWatermark
    else
      throw new FlotillaError(
        'INVALID_ARGUMENT',
        'to is unset, but a reset needs an offset, a time or a position',
      )
    return {
      topic,
      partition,
      ...(position?.committedOffset === undefined ? {} : { fromOffset: position.committedOffset }),
      toOffset,
    }
  }

  async #apply(
    group: string,
    topic: string,
    partition: number,
    epoch: number,
    sinceEpoch: number,
    offset: number,
    deadlineMs: number,
  ): Promise<void> {
    const ask = { type: 'take', group, epoch, owner: '', sinceEpoch, reset: { epoch, offset } } as const
    try {
      await this.#calls.ask({ topic, partition, ask }, deadlineMs)
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error
      // A member that has taken the partition since has applied it.
      if (error.reason === 'STALE_GROUP_EPOCH') return
      throw new FlotillaError(
        'UNKNOWN_OUTCOME',
        `the reset is noted, but partition ${partition} of "${topic}" could not log it yet (${error.message}); it will when a member takes it next`,
        { cause: error },
      )
    }
  }
}
