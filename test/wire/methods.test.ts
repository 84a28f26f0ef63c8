import { describe, expect, it } from 'vitest'
import { RpcError } from '../../src/env/index.ts'
import {
  clusterMethods,
  groupMethods,
  logMethods,
  fromRpcError,
  topicMethods,
  type TopicMessage,
} from '../../src/wire/index.ts'
import { protoRoot } from '../../src/wire/protos.ts'

const services = {
  LogService: logMethods,
  TopicService: topicMethods,
  ClusterService: clusterMethods,
  GroupService: groupMethods,
}

describe('the calls', () => {
  it.each(Object.entries(services))('of %s are all there, in their form', (service, methods) => {
    const kindOf = (requestStream: boolean | undefined, responseStream: boolean | undefined): string =>
      requestStream === true ? 'duplex' : responseStream === true ? 'serverStream' : 'unary'
    const fromProto = protoRoot()
      .lookupService(`flotilla.v1.${service}`)
      .methodsArray.map((method) => [
        `/flotilla.v1.${service}/${method.name}`,
        kindOf(method.requestStream, method.responseStream),
      ])
    expect(Object.values(methods).map(({ path, kind }) => [path, kind])).toEqual(fromProto)
  })
})

describe('messages in the shape of the .proto files', () => {
  const topic: TopicMessage = {
    name: 'orders',
    topicId: 'id',
    partitioner: 'PARTITIONER_MODULO',
    replicationFactor: 3,
    partitions: [
      {
        partition: 0,
        groupId: 2 ** 53 - 1,
        replicaNodeIds: ['n1'],
        leaderTerm: 7,
        hashFirst: 0,
        hashLast: 0xffff_ffff,
        targetNodeIds: ['n4'],
      },
    ],
    createTime: { seconds: 1_700_000_000, nanos: 5_000_000 },
    survivableLosses: 1,
  }

  it('come back as they went, 64-bit numbers as numbers and unset optional fields absent', () => {
    const { response } = topicMethods.getTopic
    expect(response.decode(response.encode({ topic }))).toEqual({ topic })
  })
  it('have their defaults where nothing was sent', () => {
    expect(topicMethods.createTopic.request.decode(new Uint8Array(0))).toEqual({
      name: '',
      partitionCount: 0,
      partitioner: 'PARTITIONER_UNSPECIFIED',
      force: false,
      requestId: '',
      validateOnly: false,
    })
    expect(logMethods.listOffsets.request.decode(new Uint8Array(0)).time).toBeNull()
  })
  it('keep all 64 bits of a digest', () => {
    const { response } = clusterMethods.describeCluster
    const commitDigest = '18446744073709551615'
    const replica = {
      topic: 't',
      partition: 0,
      groupId: 1,
      nodeId: 'n1',
      role: 'REPLICA_ROLE_LEADER' as const,
      term: 1,
      lastIndex: 1,
      commitIndex: 1,
      appliedIndex: 1,
      lowOffset: 0,
      highWatermark: 1,
      lagEntries: 0,
      commitDigest,
    }
    const message = { clusterName: 'c', clusterId: 'i', nodeId: 'n1', nodes: [], replicas: [replica] }
    expect(response.decode(response.encode(message))).toEqual(message)
  })
  it('refuse a number beyond 2^53', () => {
    const bytes = Buffer.from('08ffffffffffffffff7f', 'hex')
    expect(() => clusterMethods.watchLayout.response.decode(bytes)).toThrow('epoch is 9223372036854775807')
  })
  it('refuse a text cut short', () => {
    expect(() => topicMethods.createTopic.request.decode(Buffer.from('0a0561', 'hex'))).toThrow('malformed')
  })
  it.each([...Object.values(logMethods), ...Object.values(topicMethods)])(
    'are refused as a server has to, where malformed: $path',
    ({ path, request }) => {
      const refusal = ((): unknown => {
        try {
          return request.decode(Buffer.from('0a0561', 'hex'))
        } catch (error) {
          return error
        }
      })()
      expect(refusal).toBeInstanceOf(RpcError)
      const error = fromRpcError(refusal as RpcError)
      expect(error.reason).toBe('MALFORMED_REQUEST')
      expect(error.message).toContain(path)
    },
  )
  it('refuse an unknown enum number in a request, and show it as unspecified in a response', () => {
    const request = Buffer.from('2063', 'hex')
    expect(() => topicMethods.createTopic.request.decode(request)).toThrow('partitioner has the value 99')
    const response = Buffer.from('0a021863', 'hex')
    expect(topicMethods.getTopic.response.decode(response).topic.partitioner).toBe('PARTITIONER_UNSPECIFIED')
  })
})
