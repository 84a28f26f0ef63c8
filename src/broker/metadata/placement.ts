import type { NodeEntry, PartitionPlace, TopicLayout } from './events.ts'

/** How much each node carries already. */
interface Load {
  readonly node: NodeEntry
  replicas: number
  preferredLeaders: number
}

/**
 * Chooses nodes for the partitions of a new topic: replicas of a partition on as many hosts as there are, then the
 * node with the fewest replicas, then the lowest id. Of a partition's nodes the one that is preferred by the fewest
 * partitions so far becomes its preferred leader. Pure: the same input gives the same placement.
 */
export function placeReplicas(
  nodes: readonly NodeEntry[],
  topics: Iterable<TopicLayout>,
  partitionCount: number,
  replicationFactor: number,
): string[][] {
  const loads = loadsOf(nodes, topics)
  const placement: string[][] = []
  for (let partition = 0; partition < partitionCount; partition++) {
    const chosen: Load[] = []
    const hosts = new Set<string>()
    while (chosen.length < replicationFactor) {
      const next = loads
        .filter((load) => !chosen.includes(load))
        .toSorted((a, b) => compare(a, b, hosts))
        .at(0)
      if (next === undefined) break
      chosen.push(next)
      hosts.add(next.node.hostLabel)
      next.replicas += 1
    }
    chosen.sort((a, b) => a.preferredLeaders - b.preferredLeaders || byId(a, b))
    const leader = chosen[0]
    if (leader !== undefined) leader.preferredLeaders += 1
    placement.push(chosen.map((load) => load.node.nodeId))
  }
  return placement
}

/**
 * The replicas of a partition with another node in the place of `leaving`: one that is there, on a host that has none of
 * the others, as far as there is one, then the node with the fewest replicas, then the lowest id. Undefined: all nodes
 * have one.
 */
export function replaceReplica(
  nodes: readonly NodeEntry[],
  topics: Iterable<TopicLayout>,
  { replicas }: PartitionPlace,
  leaving: string,
  isReachable: (nodeId: string) => boolean,
): string[] | undefined {
  const hostOf = new Map(nodes.map((node) => [node.nodeId, node.hostLabel]))
  const staying = replicas.filter((nodeId) => nodeId !== leaving)
  const hosts = new Set(staying.flatMap((nodeId) => hostOf.get(nodeId) ?? []))
  const free = loadsOf(nodes, topics).filter(({ node }) => !replicas.includes(node.nodeId))
  const there = free.filter(({ node }) => isReachable(node.nodeId))
  const next = (there.length > 0 ? there : free).toSorted((a, b) => compare(a, b, hosts)).at(0)?.node.nodeId
  return next === undefined ? undefined : replicas.map((nodeId) => (nodeId === leaving ? next : nodeId))
}

function loadsOf(nodes: readonly NodeEntry[], topics: Iterable<TopicLayout>): Load[] {
  const loads = new Map<string, Load>()
  for (const node of nodes) loads.set(node.nodeId, { node, replicas: 0, preferredLeaders: 0 })
  for (const topic of topics) {
    for (const { replicas, target } of topic.partitions) {
      for (const [place, nodeId] of (target ?? replicas).entries()) {
        const load = loads.get(nodeId)
        if (load === undefined) continue
        load.replicas += 1
        if (place === 0) load.preferredLeaders += 1
      }
    }
  }
  return [...loads.values()]
}

function compare(a: Load, b: Load, usedHosts: ReadonlySet<string>): number {
  const hostA = usedHosts.has(a.node.hostLabel) ? 1 : 0
  const hostB = usedHosts.has(b.node.hostLabel) ? 1 : 0
  return hostA - hostB || a.replicas - b.replicas || byId(a, b)
}

function byId(a: Load, b: Load): number {
  return a.node.nodeId < b.node.nodeId ? -1 : 1
}
