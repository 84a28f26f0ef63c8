export type { ClusterMember, ServerConfig, ServerLimits } from './config.ts'
export { startServer, type RunningServer, type ServerLoad } from './server.ts'
