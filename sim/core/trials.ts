import { lifeOf, type NodeId } from '../../src/raft/index.ts'
import type { Checkers } from './checkers.ts'
import type { SimulatedNetwork } from './network.ts'
import type { SimulatedNode } from './node.ts'
import type { RandomStream } from './random.ts'

/** One transfer has to come through at its first try. */
const TRANSFER_MS = 1000
/** Many election timeouts. */
const CUT_MS = 1500
/** Entries that the target of a transfer has still to get. */
const BACKLOG = 3

export interface Stage {
  readonly nodes: readonly SimulatedNode[]
  readonly network: SimulatedNetwork
  readonly checkers: Checkers
  readonly random: RandomStream
  /** Runs so long, or until `done`. */
  run(forMs: number, done: () => boolean): void
  after(delayMs: number, act: () => void): void
  propose(node: SimulatedNode): void
}

/** What a healthy group must manage besides: tried on some groups when they have agreed. */
export function runTrials(stage: Stage): void {
  const { random, checkers } = stage
  if (random.chance(300)) tryTransfer(stage)
  if (checkers.violations.length === 0 && random.chance(300)) tryCutLink(stage)
}

function leaderOf({ nodes }: Stage): SimulatedNode | undefined {
  const leaders = nodes.filter((node) => node.leads())
  return leaders.sort((a, b) => b.core!.status().term - a.core!.status().term)[0]
}

/** Voters that live, other than the leader. */
function othersOf({ nodes }: Stage, leader: SimulatedNode): SimulatedNode[] {
  const { configuration } = leader.core!.status()
  const counts = (id: NodeId, life: number): boolean =>
    configuration.voters.includes(id) && life === lifeOf(configuration, id)
  return nodes.filter((node) => node !== leader && node.isUp && counts(node.id, node.life))
}

/** While clients go on sending, the leadership is moved to another voter: it leads soon (thesis §3.10). */
function tryTransfer(stage: Stage): void {
  const leader = leaderOf(stage)
  const others = leader === undefined ? [] : othersOf(stage, leader)
  if (leader === undefined || others.length === 0) return
  const target = stage.random.pick(others)
  let over = false
  const load = (): void => {
    if (over) return
    if (leader.leads()) stage.propose(leader)
    stage.after(1, load)
  }
  for (let left = BACKLOG; left > 0; left -= 1) stage.propose(leader)
  leader.step({ type: 'transfer', to: target.id })
  load()
  stage.run(TRANSFER_MS, () => target.leads())
  over = true
  if (stage.checkers.violations.length > 0 || target.leads()) return
  stage.checkers.report('transfer', `${target.id} was to lead after ${leader.id}, and doesn't`)
}

/** The link between the leader and one voter is cut while all others are whole: nobody has a reason to elect another. */
function tryCutLink(stage: Stage): void {
  const leader = leaderOf(stage)
  const others = leader === undefined ? [] : othersOf(stage, leader)
  if (leader === undefined || others.length === 0) return
  const { configuration, term } = leader.core!.status()
  // The leader itself, and all that live but the one that is cut off.
  if (others.length * 2 <= configuration.voters.length) return
  const { id } = stage.random.pick(others)
  stage.network.cut(leader.id, id)
  stage.network.cut(id, leader.id)
  stage.run(CUT_MS, () => false)
  if (stage.checkers.violations.length > 0) return
  if (!leader.leads() || leader.core!.status().term !== term) {
    const detail = `${leader.id} led term ${term} with a majority, and lost it though only ${id} was cut off from it`
    stage.checkers.report('stable-leader', detail)
  }
}
