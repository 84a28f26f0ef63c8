import { arch, cpus, loadavg, release, totalmem, type } from 'node:os'
import type { ClusterFacts } from './bench-cluster.ts'

/** What a figure depends on beside the settings. */
export interface Environment {
  readonly flotilla: string
  readonly node: string
  readonly system: string
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  /** Of the minute before, where the system counts it: what else the machine was busy with. */
  readonly loadAverage: number
  readonly replicationFactor: number
  readonly fsync: 'always'
  /** Where the client ran. */
  readonly client: 'the process of the benchmark'
  readonly cluster: ClusterFacts
}

/** Of this machine, which is the nodes' too where the benchmark has started them. */
export function describeEnvironment(
  version: string,
  cluster: ClusterFacts,
  replicationFactor: number,
): Environment {
  const processors = cpus()
  return {
    flotilla: version,
    node: process.versions.node,
    system: `${type()} ${release()} ${arch()}`,
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    loadAverage: loadavg()[0] ?? 0,
    replicationFactor,
    fsync: 'always',
    client: 'the process of the benchmark',
    cluster,
  }
}
