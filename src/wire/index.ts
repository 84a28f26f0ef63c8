export type * from './group-messages.ts'
export type * from './messages.ts'
export type { ErrorEffect, ErrorReason, FlotillaErrorOptions, LeaderHint, OffsetRange } from './errors.ts'
export { ERROR_REASONS, FlotillaError } from './errors.ts'
export { GROUP_LIMITS, LIMITS } from './limits.ts'
export type { RecordLimits } from './limits.ts'
export { embeddedError, errorOf } from './group-codec.ts'
export {
  CLUSTER_SERVICE,
  GROUP_SERVICE,
  LOG_SERVICE,
  TOPIC_SERVICE,
  clusterMethods,
  groupMethods,
  logMethods,
  topicMethods,
} from './methods.ts'
export { murmur2 } from './murmur2.ts'
export {
  validateGroupName,
  validateMemberId,
  validateNodeId,
  validateProducerId,
  validateTopicName,
} from './names.ts'
export { hashRanges, partitionForHash, partitionForKey } from './partitioner.ts'
export type { HashRange, PartitionedTopic } from './partitioner.ts'
export { MalformedMessageError, ProtoReader, ProtoWriter } from './protobuf.ts'
export { PROTO_DIRECTORY, PROTO_FILES, reflectionCodec } from './protos.ts'
export {
  decodeRecordSet,
  forEachRecord,
  firstRecordKey,
  headOfRecordSet,
  skimRecordSet,
  sliceRecordSet,
} from './record-set.ts'
export type { KeyVisitor } from './record-set.ts'
export { RecordSetBuilder, encodeRecordSet, measureRecord, sizeOfRecord } from './record-set-builder.ts'
export type { RecordSize } from './record-set-builder.ts'
export {
  decodeStatus,
  encodeStatus,
  fromErrorMessage,
  fromRpcError,
  toErrorMessage,
  toRpcError,
} from './status.ts'
export { durationOf, millisecondsOf, timestampOf } from './time.ts'
