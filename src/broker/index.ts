export type { ClusterMember, ServerConfig, ServerLimits } from './config.ts'
export { startServer, type RunningServer } from './server.ts'
