export type { Cancel, Clock, Env, Logger, Random } from './env.ts'
export type { Disk, File, Files, KeyRange, KeyValue, Readers, Store, StoreOperation } from './disk.ts'
export { BLOCK_BYTES, StoreDamagedError, StoreLockedError } from './disk.ts'
export type {
  CallContext,
  CallOptions,
  Codec,
  Connection,
  ConnectOptions,
  FlowControl,
  Handler,
  HealthSource,
  Listener,
  ListenOptions,
  MethodKind,
  Network,
  Receiver,
  RpcMethod,
  Sink,
  StreamConnection,
} from './network.ts'
export {
  AddressInUseError,
  RpcError,
  StatusCode,
  duplexHandler,
  serverStreamHandler,
  unaryHandler,
} from './network.ts'
