import type {
  LeaderHint,
  NodeMessage,
  PartitionMessage,
  TopicMessage,
  WatchLayoutResponse,
} from '../wire/index.ts'

/** What the client knows of the cluster: where the nodes are, and who leads what. */
export interface Layout {
  readonly addresses: ReadonlyMap<string, string>
  readonly topics: ReadonlyMap<string, TopicMessage>
}

export const EMPTY_LAYOUT: Layout = { addresses: new Map(), topics: new Map() }

/** Folds a message of WatchLayout in. A snapshot says all there is, other messages only what changed. */
export function withWatched(layout: Layout, message: WatchLayoutResponse): Layout {
  const addresses = new Map(message.snapshot ? [] : layout.addresses)
  for (const node of message.nodes) setAddress(addresses, node)
  const topics = new Map(message.snapshot ? [] : layout.topics)
  for (const topic of message.topics)
    topics.set(topic.name, newerLeaders(layout.topics.get(topic.name), topic))
  for (const name of message.deletedTopics) topics.delete(name)
  return { addresses, topics }
}

/** Folds in a topic that was asked for. */
export function withTopic(layout: Layout, topic: TopicMessage): Layout {
  const merged = newerLeaders(layout.topics.get(topic.name), topic)
  return { ...layout, topics: new Map(layout.topics).set(topic.name, merged) }
}

/** Folds in what a NOT_LEADER error said. An older term than the known one says nothing new. */
export function withHint(layout: Layout, topicName: string, partition: number, hint: LeaderHint): Layout {
  const addresses = new Map(layout.addresses)
  if (hint.address !== '') addresses.set(hint.nodeId, hint.address)
  const topic = layout.topics.get(topicName)
  if (topic === undefined) return { ...layout, addresses }
  const partitions = topic.partitions.map((known) =>
    known.partition === partition && hint.term >= known.leaderTerm
      ? { ...known, leaderNodeId: hint.nodeId, leaderTerm: hint.term }
      : known,
  )
  return { addresses, topics: new Map(layout.topics).set(topicName, { ...topic, partitions }) }
}

/**
 * Addresses that can serve a partition: its leader, then its other replicas, then any node, which passes the call on.
 */
export function candidatesOf(layout: Layout, topicName: string, partition: number): string[] {
  const message = partitionOf(layout, topicName, partition)
  const nodeIds = new Set<string>()
  if (message?.leaderNodeId !== undefined) nodeIds.add(message.leaderNodeId)
  for (const nodeId of message?.replicaNodeIds ?? []) nodeIds.add(nodeId)
  for (const nodeId of layout.addresses.keys()) nodeIds.add(nodeId)
  return [...nodeIds].flatMap((nodeId) => layout.addresses.get(nodeId) ?? [])
}

export function partitionOf(
  layout: Layout,
  topicName: string,
  partition: number,
): PartitionMessage | undefined {
  const partitions = layout.topics.get(topicName)?.partitions
  // They come in order; this is asked for with each batch.
  const inPlace = partitions?.[partition]
  if (inPlace?.partition === partition) return inPlace
  return partitions?.find((message) => message.partition === partition)
}

function setAddress(addresses: Map<string, string>, { nodeId, address }: NodeMessage): void {
  if (address === '') addresses.delete(nodeId)
  else addresses.set(nodeId, address)
}

/** Nodes hear of leaders at different times: of the same group, the later term is right. */
function newerLeaders(known: TopicMessage | undefined, incoming: TopicMessage): TopicMessage {
  if (known === undefined || known.topicId !== incoming.topicId) return incoming
  const partitions = incoming.partitions.map((partition) => {
    const before = known.partitions.find((candidate) => candidate.partition === partition.partition)
    if (before === undefined || before.leaderTerm <= partition.leaderTerm) return partition
    const { leaderNodeId: _older, ...rest } = partition
    const leader = before.leaderNodeId === undefined ? {} : { leaderNodeId: before.leaderNodeId }
    return { ...rest, ...leader, leaderTerm: before.leaderTerm }
  })
  return { ...incoming, partitions }
}
