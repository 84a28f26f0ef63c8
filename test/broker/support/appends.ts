import { PartitionMachine } from '../../../src/broker/partition/machine.ts'
import { encodeRecordSet } from '../../../src/wire/index.ts'
import type { AppendResponse, ProducerIdentity } from '../../../src/wire/messages.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { Waiter } from './scripted-log.ts'

const MIB = 1024 * 1024
const NOTHING = new Uint8Array(0)

export const partitionMachine = (clock = new ManualClock(), partition = 0): PartitionMachine =>
  new PartitionMachine(partition, clock, { maxEntryBytes: MIB, maxPendingBytes: 64 * MIB }, NOTHING, NOTHING)

export function recordsOf(...values: readonly string[]): Uint8Array {
  return encodeRecordSet(
    values.map((value) => ({
      key: undefined,
      value: Buffer.from(value),
      headers: [],
      timestampMs: undefined,
    })),
  )
}

export function submit(
  machine: PartitionMachine,
  values: readonly string[],
  options: { readonly producer?: ProducerIdentity; readonly deadlineMs?: number } = {},
): Waiter<AppendResponse> {
  const waiter = new Waiter<AppendResponse>(options.deadlineMs)
  const { producer } = options
  machine.submit({ records: recordsOf(...values), recordCount: values.length, producer, reply: waiter })
  return waiter
}
