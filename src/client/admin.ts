import type { Env } from '../env/index.ts'
import {
  clusterMethods,
  logMethods,
  timestampOf,
  topicMethods,
  validateTopicName,
  type ListOffsetsRequest,
  type PartitionerName,
  type TopicMessage,
} from '../wire/index.ts'
import { bytesOf, hexOf } from './bytes.ts'
import type { Caller } from './caller.ts'
import type { Client, CreateTopicOptions } from './types.ts'

const REQUEST_ID_BYTES = 16
const DEFAULT_PARTITIONS = 3
const PAGE_SIZE = 1000

const PARTITIONERS: Record<NonNullable<CreateTopicOptions['partitioner']>, PartitionerName> = {
  'hash-range': 'PARTITIONER_HASH_RANGE',
  modulo: 'PARTITIONER_MODULO',
}

/** Calls about topics. What changes something carries a request id, so that its retries are harmless. */
export function topicCalls(caller: Caller, env: Pick<Env, 'random'>): Client['topics'] {
  const requestId = (): string => hexOf(env.random.bytes(REQUEST_ID_BYTES))
  return {
    async create(name, options = {}) {
      validateTopicName(name)
      const request = {
        name,
        partitionCount: options.partitions ?? DEFAULT_PARTITIONS,
        ...(options.replicationFactor === undefined ? {} : { replicationFactor: options.replicationFactor }),
        partitioner: PARTITIONERS[options.partitioner ?? 'hash-range'],
        force: options.force ?? false,
        requestId: requestId(),
        validateOnly: options.validateOnly ?? false,
      }
      return (await caller.call(topicMethods.createTopic, request, { idempotent: true }, options)).topic
    },
    async describe(name, settings) {
      validateTopicName(name)
      return (await caller.call(topicMethods.getTopic, { name }, { idempotent: true }, settings)).topic
    },
    async list(settings) {
      const topics: TopicMessage[] = []
      let pageToken = ''
      do {
        const request = { pageSize: PAGE_SIZE, pageToken }
        const page = await caller.call(topicMethods.listTopics, request, { idempotent: true }, settings)
        topics.push(...page.topics)
        pageToken = page.nextPageToken
      } while (pageToken !== '')
      return topics
    },
    async delete(name, settings) {
      validateTopicName(name)
      const request = { name, requestId: requestId() }
      await caller.call(topicMethods.deleteTopic, request, { idempotent: true }, settings)
    },
  }
}

/** Calls about the cluster and places in it. */
export function clusterCalls(caller: Caller): Client['cluster'] {
  return {
    describe: (settings) => caller.call(clusterMethods.describeCluster, {}, { idempotent: true }, settings),
    transferLeadership(topic, partition, options = {}) {
      const request = { topic, partition, ...(options.to === undefined ? {} : { targetNodeId: options.to }) }
      // To a named node twice is as once; to "another" twice may go there and back.
      const idempotent = options.to !== undefined
      return caller.call(clusterMethods.transferLeadership, request, { idempotent }, options)
    },
    async moveReplicas(topic, partition, replicaNodeIds, settings) {
      const request = { topic, partition, replicaNodeIds }
      await caller.call(clusterMethods.moveReplicas, request, { idempotent: true }, settings)
    },
    drainNode: (nodeId, settings) =>
      caller.call(clusterMethods.drainNode, { nodeId }, { idempotent: true }, settings),
    async removeNode(nodeId, settings) {
      await caller.call(clusterMethods.removeNode, { nodeId }, { idempotent: true }, settings)
    },
    locate(topic, key, settings) {
      const request = { topic, key: bytesOf(key) }
      return caller.call(clusterMethods.locatePartition, request, { idempotent: true }, settings)
    },
    async listOffsets(topic, partition, options = {}) {
      const request: ListOffsetsRequest = {
        topic,
        partition,
        ...(options.time === undefined ? {} : { time: timestampOf(options.time.getTime()) }),
        consistency:
          options.consistency === 'linearizable'
            ? 'READ_CONSISTENCY_LINEARIZABLE'
            : 'READ_CONSISTENCY_COMMITTED',
      }
      const reply = await caller.call(logMethods.listOffsets, request, { idempotent: true }, options)
      const { lowOffset, highWatermark, offsetForTime } = reply
      return { lowOffset, highWatermark, offsetForTime }
    },
  }
}
