import { describe, expect, it } from 'vitest'
import { HostedPartition } from '../../src/broker/hosted-partition.ts'
import { FlotillaError } from '../../src/wire/errors.ts'
import { partitionMachine, submit } from './support/appends.ts'
import { ReplicaBench } from './support/replica-bench.ts'

const deleted = (): FlotillaError => new FlotillaError('UNKNOWN_TOPIC', 'deleted', { effect: 'unknown' })

function hosted() {
  const machine = partitionMachine()
  const bench = new ReplicaBench(machine)
  bench.lead()
  return { bench, partition: new HostedPartition('t', bench.replica, machine) }
}

describe('a partition that ends', () => {
  it('tells everybody who listens once, and who comes too late at once', () => {
    const { partition } = hosted()
    const said: string[] = []
    partition.onStop(({ reason }) => said.push(`early ${reason}`))
    partition.onStop(() => said.push('never'))()
    partition.stop(deleted)
    partition.stop(() => new FlotillaError('SHUTTING_DOWN', 'stopping'))
    partition.onStop(({ reason }) => said.push(`late ${reason}`))
    expect(said).toEqual(['early UNKNOWN_TOPIC', 'late UNKNOWN_TOPIC'])
  })

  it('does not say of an append under way that it had no effect', () => {
    const { bench, partition } = hosted()
    const waiter = submit(partition.machine, ['a'])
    bench.replica.commandsQueued()
    bench.turn()
    partition.stop(deleted)
    expect(waiter.failure).toBe('UNKNOWN_TOPIC/unknown')
  })
})
