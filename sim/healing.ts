import type { World } from './cluster/world.ts'
import { RandomStream } from './core/random.ts'
import { victimOf } from './faults/damage.ts'
import { isMemberFault, type Plan } from './plan.ts'

/** A replica that is on its way, or that lost its disk, counts for nothing yet: no other of its group may stay dead then. */
export function areMembersChanging({ faults, work }: Plan): boolean {
  return [...faults, ...work].some(({ kind }) => isMemberFault(kind))
}

/** Heals everything but a drawn minority of nodes, which stays dead: every partition keeps a majority of its replicas. */
export function heal(
  world: World,
  partitions: readonly { readonly replicaNodeIds: readonly string[] }[],
): void {
  const random = new RandomStream(world.plan.seed, 'liveness')
  // Who was damaged may have to come back from the others: all of them, then.
  const most = victimOf(world.plan) === undefined ? Math.floor((world.nodes.length - 1) / 2) : 0
  const dead = random.below(most + 1)
  const order = world.nodes.map((node) => ({ node, rank: random.next() })).sort((a, b) => a.rank - b.rank)
  // Every partition has a majority among the others only where no more of its replicas die than it survives.
  const retired = order.slice(0, dead).map(({ node }) => node)
  world.note(`healing all but ${retired.map(({ id }) => id).join(', ') || 'nobody'}`)
  world.fabric.healAll()
  const survivesAll = partitions.every(({ replicaNodeIds }) => {
    const lost = replicaNodeIds.filter((replica) => retired.some(({ id }) => id === replica)).length
    return lost * 2 < replicaNodeIds.length
  })
  const mayStayDead = survivesAll && !areMembersChanging(world.plan)
  for (const node of world.nodes) {
    node.drive.heal()
    node.clock.drift(0)
    if (mayStayDead && retired.includes(node)) node.retire()
    else node.start()
  }
}
