import type { StoreOperation } from '../env/index.ts'
import type { Entry } from '../raft/types.ts'
import { assert } from './assert.ts'
import type { GroupState } from './group-state.ts'
import { payloadPlaces } from './payload-places.ts'
import type { SegmentWrite } from './segments.ts'
import type { SharedEnd } from './shared-segments.ts'
import type { Sweep } from './sweep.ts'
import { TurnPlanner } from './turn-planner.ts'
import type { GroupId, GroupWrite, LogLimits } from './types.ts'

export interface TurnPlan {
  /** Its number. */
  readonly turn: number
  readonly operations: StoreOperation[]
  readonly segmentWrites: readonly SegmentWrite[]
  /** Where the shared segment ends after the turn; undefined where the turn adds nothing to it. */
  readonly sharedEnd: SharedEnd | undefined
  /** The groups after the turn; undefined where the turn destroyed one. */
  readonly groups: ReadonlyMap<GroupId, GroupState | undefined>
  readonly sweeps: readonly Sweep[]
  /**
   * Segments must be durable before the batch is written: something in it (an applied state, a low end) stands on
   * entries of this very turn, so a start couldn't cut them off.
   */
  readonly segmentsFirst: boolean
}

export interface TurnContext {
  readonly turn: number
  readonly limits: LogLimits
  /** Where the shared segment's next payload goes; undefined while there is no room in them. */
  readonly sharedEnd: SharedEnd | undefined
  stateOf(groupId: GroupId): GroupState | undefined
  isDamaged(groupId: GroupId): boolean
}

/** Decides what a turn writes. Changes nothing, so a plan that fails an assertion has had no effect. */
export function planTurn(context: TurnContext, writes: readonly GroupWrite[]): TurnPlan {
  assert(context.turn >= 1, 'log.turn-number', () => `${context.turn}`)
  assert(writes.length > 0, 'log.turn-of-nothing', () => `turn ${context.turn}`)
  const places = payloadPlaces(context.limits, writes, context.sharedEnd === undefined)
  const planner = new TurnPlanner(context, places)
  for (const write of writes) planner.add(write)
  return planner.finish()
}

/** Entries of a group that move from a shared segment to the group's own; their payloads were read and checked. */
export interface Relocation {
  readonly groupId: GroupId
  /** The shared segment. */
  readonly from: number
  readonly entries: readonly Entry[]
  /** Nothing of the group is left in it. */
  readonly isLast: boolean
}

/** Plans a turn that relocates. What is not wanted any more by now, because the group's log went on, stays out. */
export function planRelocation(context: TurnContext, relocations: readonly Relocation[]): TurnPlan {
  assert(relocations.length > 0, 'log.relocate-nothing', () => `turn ${context.turn}`)
  const planner = new TurnPlanner(context, { ownFromBytes: 0, sharedFromBytes: Infinity })
  for (const relocation of relocations) planner.relocate(relocation)
  const plan = planner.finish()
  assert(plan.sharedEnd === undefined, 'log.relocate-from-shared', () => `turn ${context.turn}`)
  assert(
    plan.segmentsFirst || plan.segmentWrites.length === 0,
    'log.relocate-durable-first',
    () => `turn ${context.turn}`,
  )
  return plan
}
