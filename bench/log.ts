/**
 * How fast LogStorage.commit() makes turns durable: `npm run build && node bench/log.js DIRECTORY` after compiling, or
 * through any TypeScript runner. Prints one line per shape of turn.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { nodeClock } from '../src/env/node/clock.ts'
import { nodeDisk } from '../src/env/node/disk.ts'
import { nodeLogger } from '../src/env/node/logger.ts'
import { nodeRandom } from '../src/env/node/random.ts'
import { asGroupId, openLogStorage, payloadCrc32 } from '../src/log/index.ts'
import type { GroupWrite } from '../src/log/index.ts'
import { chain } from '../src/raft/index.ts'
import type { Entry, LogMark } from '../src/raft/types.ts'
import { asDigest, asLogIndex, asNodeId, asTerm } from '../src/raft/types.ts'

interface Shape {
  readonly groups: number
  readonly entriesPerGroup: number
  readonly payloadBytes: number
}

const shapes: readonly Shape[] = [
  { groups: 3, entriesPerGroup: 1, payloadBytes: 64 * 1024 },
  { groups: 3, entriesPerGroup: 4, payloadBytes: 64 * 1024 },
  { groups: 3, entriesPerGroup: 1, payloadBytes: 256 * 1024 },
  { groups: 3, entriesPerGroup: 4, payloadBytes: 256 * 1024 },
  { groups: 1, entriesPerGroup: 1, payloadBytes: 1024 },
  { groups: 1, entriesPerGroup: 1000, payloadBytes: 100 },
  { groups: 1000, entriesPerGroup: 1, payloadBytes: 100 },
]

async function run(shape: Shape, seconds: number): Promise<void> {
  const directory = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'flotilla-bench-log-'))
  const logger = nodeLogger({ level: 'warn' })
  const env = { disk: nodeDisk(), clock: nodeClock(), random: nodeRandom(), logger }
  const log = await openLogStorage(env, directory, { clusterName: 'bench', nodeId: 'n1' })
  const groupIds = Array.from({ length: shape.groups }, (_, i) => asGroupId(i + 1))
  const origin: LogMark = { index: asLogIndex(0), term: asTerm(0), digest: asDigest(0n) }
  const configuration = { voters: [asNodeId('n1')], votersOutgoing: [], learners: [] }
  const create = { ...origin, configuration, state: new Uint8Array(0) }
  await log.commit(groupIds.map((groupId) => ({ groupId, create })))

  const payload = [new Uint8Array(shape.payloadBytes).map((_, i) => i * 31)]
  const crc = payloadCrc32(payload)
  const header = new Uint8Array(40)
  const latencies: number[] = []
  const startedMs = performance.now()
  let planningMs = 0
  while (performance.now() - startedMs < seconds * 1000) {
    const beganMs = performance.now()
    const turn: GroupWrite[] = groupIds.map((groupId) => {
      const entries: Entry[] = []
      let mark: LogMark = log.lastMark(groupId)
      for (let i = 0; i < shape.entriesPerGroup; i++) {
        const fields = {
          index: asLogIndex(mark.index + 1),
          term: asTerm(1),
          kind: 'event' as const,
          header,
          payload,
          payloadBytes: shape.payloadBytes,
          payloadCrc32: crc,
        }
        const entry = { ...fields, digest: chain(mark.digest, fields) }
        entries.push(entry)
        mark = entry
      }
      return { groupId, entries, hardState: { term: asTerm(1), votedFor: undefined, commit: asLogIndex(0) } }
    })
    const committed = log.commit(turn)
    planningMs += performance.now() - beganMs
    await committed
    latencies.push(performance.now() - beganMs)
  }
  const elapsed = (performance.now() - startedMs) / 1000
  const entries = latencies.length * shape.groups * shape.entriesPerGroup
  latencies.sort((left, right) => left - right)
  const at = (part: number): string => latencies[Math.floor(latencies.length * part)]!.toFixed(2)
  console.log(
    `${shape.groups} groups x ${shape.entriesPerGroup} x ${shape.payloadBytes} B: ` +
      `${((entries * shape.payloadBytes) / 1e6 / elapsed).toFixed(0)} MB/s, ${(entries / elapsed).toFixed(0)} entries/s, ` +
      `turn p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, on the main thread ${(planningMs / latencies.length).toFixed(2)} ms`,
  )
  await log.close()
  await rm(directory, { recursive: true })
}

for (const shape of shapes) await run(shape, Number(process.argv[3] ?? 3))
