import { brokerMutants, clientMutants } from './brokers.ts'
import { electionMutants } from './core-elections.ts'
import { replicationMutants } from './core-replication.ts'
import type { Mutant } from './mutant.ts'
import { storageMutants } from './storage.ts'

/** All known ways to break the code. */
export const mutants: readonly Mutant[] = [
  ...electionMutants,
  ...replicationMutants,
  ...storageMutants,
  ...brokerMutants,
  ...clientMutants,
]
