export { Fabric, hostOf, type FabricEvents, type LinkSpeed } from './fabric.ts'
export type { Frame } from './frame.ts'
export type { Wire } from './wire.ts'
