import type { Env } from '../env/index.ts'
import { FlotillaError } from '../wire/index.ts'
import { clusterCalls, topicCalls } from './admin.ts'
import { Caller } from './caller.ts'
import { Connections } from './connections.ts'
import { FlotillaGroupConsumer } from './consumer/consumer.ts'
import { JointBeats } from './consumer/joint-beats.ts'
import { groupCalls } from './group-admin.ts'
import { LayoutWatch } from './layout-watch.ts'
import { FlotillaProducer } from './producer/producer.ts'
import { FlotillaReader, type ReaderParts } from './reader/reader.ts'
import { TopicSource } from './topic-source.ts'
import type {
  Client,
  ClientOptions,
  ConsumeOptions,
  GroupConsumer,
  Producer,
  ProducerOptions,
  Reader,
  ReaderOptions,
} from './types.ts'

export type ClientEnv = Pick<Env, 'clock' | 'random' | 'network'>

const DEFAULT_BOOTSTRAP = '127.0.0.1:7101'
const DEFAULT_TIMEOUT_MS = 30_000

/** A client over any Env; nothing is sent before the first call. Throws INVALID_ARGUMENT on a wrong address. */
export function connectWith(env: ClientEnv, options: ClientOptions = {}): Client {
  return new FlotillaClient(env, options)
}

class FlotillaClient implements Client {
  readonly topics: Client['topics']
  readonly cluster: Client['cluster']
  readonly groups: Client['groups']
  readonly #parts: Omit<ReaderParts, 'onClosed'>
  readonly #beats: JointBeats
  readonly #open = new Set<Producer | Reader | GroupConsumer>()
  #closing: Promise<void> | undefined

  constructor(env: ClientEnv, options: ClientOptions) {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    const connections = new Connections(env.network)
    const watch = new LayoutWatch(env, connections, addressesOf(options.bootstrap ?? DEFAULT_BOOTSTRAP))
    const caller = new Caller(env, connections, watch, timeoutMs)
    this.#parts = {
      env,
      connections,
      watch,
      topics: new TopicSource(env, connections, watch, caller),
      timeoutMs,
    }
    this.#beats = new JointBeats(connections, env.clock)
    this.topics = topicCalls(caller, env)
    this.cluster = clusterCalls(caller)
    this.groups = groupCalls(caller)
  }

  producer(options: ProducerOptions = {}): Producer {
    this.#checkOpen()
    const producer = new FlotillaProducer(
      { ...this.#parts, onClosed: () => this.#open.delete(producer) },
      options,
    )
    this.#open.add(producer)
    return producer
  }

  reader(options: ReaderOptions): Reader {
    this.#checkOpen()
    const reader = new FlotillaReader({ ...this.#parts, onClosed: () => this.#open.delete(reader) }, options)
    this.#open.add(reader)
    return reader
  }

  consume(options: ConsumeOptions): GroupConsumer {
    this.#checkOpen()
    const onClosed = (): void => void this.#open.delete(consumer)
    const consumer = new FlotillaGroupConsumer({ ...this.#parts, beats: this.#beats, onClosed }, options)
    this.#open.add(consumer)
    return consumer
  }

  /** Flushes and closes the producers, ends the readers and consumers, then the connections. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    try {
      await Promise.all([...this.#open].map((open) => open.close()))
    } finally {
      this.#parts.watch.close()
      this.#parts.connections.close()
    }
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new FlotillaError('INVALID_ARGUMENT', 'the client is closed')
  }
}

function addressesOf(bootstrap: string | readonly string[]): string[] {
  const list = typeof bootstrap === 'string' ? bootstrap.split(',') : bootstrap
  const addresses = list.map((address) => address.trim()).filter((address) => address !== '')
  if (addresses.length === 0) throw new FlotillaError('INVALID_ARGUMENT', 'bootstrap names no HOST:PORT')
  for (const address of addresses) {
    const port = Number(/^.+:(\d{1,5})$/.exec(address)?.[1] ?? Number.NaN)
    if (!(port >= 1 && port <= 65_535)) {
      throw new FlotillaError('INVALID_ARGUMENT', `bootstrap ${JSON.stringify(address)} is no HOST:PORT`)
    }
  }
  return addresses
}
