export type {
  AppliedState,
  FolderIdentity,
  GroupId,
  GroupWrite,
  IndexPoint,
  LogLimits,
  LogStorage,
  Offset,
  RecoveredGroup,
} from './types.ts'
export { asGroupId, asOffset } from './types.ts'
export type {
  InspectedEntry,
  InspectedGroup,
  InspectedSegment,
  Inspection,
  InspectOptions,
} from './inspect.ts'
export { inspectFolder } from './inspect.ts'
export type { LogEnv } from './log-storage.ts'
export { defaultLogLimits, openLogStorage } from './log-storage.ts'
export type { DecodedHead, EntryHead } from './entry-codec.ts'
export { decodeEntry, decodeEntryHead, encodeEntryHead, maxHeaderBytes, payloadCrc32 } from './entry-codec.ts'
export { LogAssertionError } from './assert.ts'
export {
  DamagedEntryError,
  EntriesCompactedError,
  FolderDamagedError,
  FolderMismatchError,
  MalformedBytesError,
  StorageFailedError,
} from './errors.ts'
