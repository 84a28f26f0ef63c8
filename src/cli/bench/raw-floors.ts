/** What the two things below every append do by themselves, without Flotilla: a grpc-js stream, and synced LevelDB batches. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CliContext } from '../context.ts'

type Clock = Pick<CliContext, 'nowMs' | 'sleep'>

/** How a raw thing is measured: what comes in the first part of the time doesn't count. */
export interface RawTimes {
  readonly warmupMs: number
  readonly durationMs: number
}

const path = '/raw.Stream/Send'
const identity = (bytes: Buffer): Buffer => bytes
const answer = Buffer.alloc(16, 1)

/**
 * Messages a second on one stream between a client and a server of grpc-js, both in this process: each message has a short
 * answer, and at most `inFlight` are without one.
 */
export async function rawStreamRate(
  clock: Clock,
  messageBytes: number,
  inFlight: number,
  times: RawTimes,
): Promise<number> {
  const { Client, Metadata, Server, ServerCredentials, credentials } = await import('@grpc/grpc-js')
  const limits = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 }
  const server = new Server(limits)
  server.register(
    path,
    (call: {
      on(event: 'data' | 'end', listener: () => void): void
      write(bytes: Buffer): void
      end(): void
    }) => {
      call.on('data', () => call.write(answer))
      call.on('end', () => call.end())
    },
    identity,
    identity,
    'bidi',
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), limits)
  try {
    const message = Buffer.alloc(messageBytes, 7)
    const stream = client.makeBidiStreamRequest(path, identity, identity, new Metadata())
    const lost = new Promise<never>((_, reject) => stream.on('error', reject))
    // It is cancelled in the end, when nobody waits for this any more.
    lost.catch(() => undefined)
    let answered = 0
    stream.on('data', () => {
      answered += 1
      stream.write(message)
    })
    for (let sent = 0; sent < inFlight; sent++) stream.write(message)
    const rate = rateOf(clock, times, () => answered)
    const found = await Promise.race([rate, lost])
    stream.cancel()
    return found
  } finally {
    client.close()
    server.forceShutdown()
  }
}

/** Batches a second that one LevelDB writes with `sync`, each before the next; a batch is `count` values of `valueBytes`. */
export async function rawStoreRate(
  clock: Clock,
  directory: string,
  valueBytes: number,
  count: number,
  times: RawTimes,
): Promise<number> {
  const { Level } = await import('level')
  const folder = await mkdtemp(join(directory, 'raw-store-'))
  const database = new Level<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    compression: false,
    writeBufferSize: 16 * 1024 * 1024,
  })
  await database.open()
  try {
    const value = Buffer.alloc(valueBytes, 7)
    let written = 0
    let over = false
    const write = async (): Promise<void> => {
      while (!over) {
        const batch = database.batch()
        for (let at = 0; at < count; at++) batch.put(keyOf(written * count + at), value)
        await batch.write({ sync: true })
        written += 1
      }
    }
    const writing = write()
    const rate = rateOf(clock, times, () => written)
    const found = await Promise.race([rate, writing.then(() => rate)])
    over = true
    await writing
    return found
  } finally {
    await database.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** In the order in which they come, as Flotilla's keys are within a group. */
function keyOf(number: number): Uint8Array {
  const key = Buffer.alloc(8)
  key.writeBigUInt64BE(BigInt(number))
  return key
}

async function rateOf(clock: Clock, times: RawTimes, count: () => number): Promise<number> {
  await clock.sleep(times.warmupMs)
  const before = count()
  const startMs = clock.nowMs()
  await clock.sleep(times.durationMs)
  return ((count() - before) / (clock.nowMs() - startMs)) * 1000
}
