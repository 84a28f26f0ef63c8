export { startTestCluster, TestCluster, type TestClusterOptions } from './test-cluster.ts'
export { freePorts } from './free-ports.ts'
