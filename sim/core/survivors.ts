import { decodeConfiguration, lifeOf, type Configuration } from '../../src/raft/index.ts'
import type { RandomStream } from './random.ts'
import type { SimulatedNode } from './node.ts'

/** Who stays dead when the rest is healed: a random few, without whom everybody can still decide, whatever they know. */
export function drawDead(nodes: readonly SimulatedNode[], random: RandomStream): ReadonlySet<SimulatedNode> {
  const dead = new Set<SimulatedNode>()
  const order = nodes.map((node) => ({ node, rank: random.next() })).sort((a, b) => a.rank - b.rank)
  const known = nodes.flatMap(configurationsOf)
  for (const { node } of order) {
    if (!random.chance(400)) continue
    dead.add(node)
    if (!known.every((configuration) => canDecide(configuration, nodes, dead))) dead.delete(node)
  }
  return dead
}

/** All that a node may take for the one in force. */
function configurationsOf({ disk, core }: SimulatedNode): Configuration[] {
  const written = disk.entries.filter(({ kind }) => kind === 'configuration')
  const inMemory = core === undefined ? [] : [core.status().configuration]
  return [disk.lowEnd.configuration, ...written.map(({ header }) => decodeConfiguration(header)), ...inMemory]
}

function canDecide(
  configuration: Configuration,
  nodes: readonly SimulatedNode[],
  dead: ReadonlySet<SimulatedNode>,
): boolean {
  const lives = nodes.filter((node) => !dead.has(node) && node.life === lifeOf(configuration, node.id))
  return [configuration.voters, configuration.votersOutgoing].every((half) => {
    const alive = half.filter((id) => lives.some((node) => node.id === id))
    return half.length === 0 || alive.length * 2 > half.length
  })
}
