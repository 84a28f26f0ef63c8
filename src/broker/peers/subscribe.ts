import protobuf from 'protobufjs/minimal.js'
import type { Codec, RpcMethod } from '../../env/index.ts'
import { asNodeId, type NodeId } from '../../raft/types.ts'
import { ProtoReader } from '../../wire/index.ts'
import { STANDINGS, inOnePiece, type EncodedEnvelope, type Standing } from './peer-codec.ts'

/** Who dials, and which of its two streams this is. */
export interface SubscribeRequest {
  readonly nodeId: NodeId
  readonly address: string
  readonly clusterName: string
  readonly clusterId: string
  readonly lane: Lane
  readonly protocolVersion: number
  readonly memberIds: readonly string[]
  readonly standing: Standing | undefined
  /** Under which life of its disk the caller takes part in the metadata group; undefined where it doesn't yet. */
  readonly life: number | undefined
}

/** Heartbeats, votes and acknowledgements never queue behind entries. */
export type Lane = 'control' | 'bulk'

/** Nodes of different protocol versions refuse each other. */
export const PROTOCOL_VERSION = 2

const subscribeRequest: Codec<SubscribeRequest> = {
  encode(request) {
    const writer = protobuf.Writer.create()
    writer.uint32(10).string(request.nodeId).uint32(18).string(request.address)
    writer.uint32(26).string(request.clusterName).uint32(34).string(request.clusterId)
    writer
      .uint32(40)
      .int32(request.lane === 'control' ? 1 : 2)
      .uint32(48)
      .int32(request.protocolVersion)
    for (const memberId of request.memberIds) writer.uint32(58).string(memberId)
    if (request.standing !== undefined) writer.uint32(64).int32(STANDINGS.indexOf(request.standing))
    if (request.life !== undefined) writer.uint32(72).int64(request.life)
    return writer.finish()
  },
  decode(bytes) {
    const reader = new ProtoReader(bytes)
    const texts = ['', '', '', '', '']
    let lane = 0
    let protocolVersion = 0
    const memberIds: string[] = []
    let standing: Standing | undefined
    let life: number | undefined
    while (reader.more) {
      const tag = reader.uint32()
      const field = tag >>> 3
      if (field >= 1 && field <= 4) texts[field] = reader.string()
      else if (field === 5) lane = reader.int32()
      else if (field === 6) protocolVersion = reader.int32()
      else if (field === 7) memberIds.push(reader.string())
      else if (field === 8) standing = STANDINGS[reader.int32()]
      else if (field === 9) life = reader.int64()
      else reader.skip(tag)
    }
    const [, nodeId = '', address = '', clusterName = '', clusterId = ''] = texts
    return {
      nodeId: asNodeId(nodeId),
      address,
      clusterName,
      clusterId,
      lane: lane === 1 ? 'control' : 'bulk',
      protocolVersion,
      memberIds,
      standing,
      life,
    }
  },
}

/** Envelopes are encoded by the lane, and decoded by the link, which knows who sends and who receives. */
const opaque: Codec<EncodedEnvelope> = {
  encode: inOnePiece,
  encodeInPieces: (envelope) => (envelope instanceof Uint8Array ? [envelope] : envelope),
  decode: (bytes) => bytes,
}

export const subscribeMethod: RpcMethod<SubscribeRequest, EncodedEnvelope, 'serverStream'> = {
  path: '/flotilla.peer.v1.PeerService/Subscribe',
  kind: 'serverStream',
  request: subscribeRequest,
  response: opaque,
}
