import {
  connectWith,
  FlotillaError,
  type Acknowledgement,
  type Client,
  type ClientOptions,
} from '../../src/client/index.ts'
import { decodeRecordSet, encodeRecordSet } from '../../src/wire/index.ts'
import { FakeBroker } from './fake-broker.ts'
import { fakeRandom } from './fake-world.ts'

export async function startBroker(): Promise<FakeBroker> {
  const broker = new FakeBroker()
  await broker.start()
  return broker
}

export function clientOf(broker: FakeBroker, options: ClientOptions = {}): Client {
  const { clock, network } = broker
  return connectWith(
    { clock, network, random: fakeRandom() },
    { bootstrap: 'n1:7101,n2:7101,n3:7101', ...options },
  )
}

export const textsIn = (bytes: Uint8Array): string[] =>
  decodeRecordSet(bytes).map(({ value }) => Buffer.from(value ?? []).toString())

export const valuesOf = (broker: FakeBroker, topic: string, partition = 0): string[] =>
  broker.values(topic, partition, textsIn)

export const recordSetOf = (...values: string[]): Uint8Array =>
  encodeRecordSet(
    values.map((value) => ({
      key: undefined,
      value: Buffer.from(value),
      headers: [],
      timestampMs: undefined,
    })),
  )

/** The FlotillaError that a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<FlotillaError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof FlotillaError) return error
  throw new Error(`no FlotillaError but ${String(error)}`, { cause: error })
}

export const offsetsOf = (acknowledgements: readonly Acknowledgement[]): number[] =>
  acknowledgements.map(({ offset }) => offset)
