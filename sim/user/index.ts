/** `flotilla/sim`: a user's own code with the real brokers and the real client, through faults, from one seed. */
export { simulate, SimulationError } from './simulate.ts'
export type { SimulateOptions, SimulateReport } from './simulate.ts'
export type { Process, Self, Workload, WorkloadTopic } from './workload.ts'
export type { FaultKind } from '../faults/kinds.ts'
