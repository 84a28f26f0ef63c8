/**
 * Commits turns to the folder in argv[2], to shared segments where argv[3] says so, until it is killed, and prints `GROUP INDEX` for each group of a turn once the
 * turn is durable. Entry I of a group has I * 97 % 1500 payload bytes, all of them I % 251. Where the storage fails it
 * prints the error, tries once more, prints that error as well, and ends. Runs on the built code, and loads little of it,
 * since it is started a thousand times.
 */
import { nodeDisk } from '../../dist/env/node/disk.js'
import { openLogStorage, payloadCrc32 } from '../../dist/log/index.js'
import { chain } from '../../dist/raft/index.js'

const logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => logger }
const env = {
  disk: nodeDisk(),
  clock: {
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    defer: setImmediate,
    setTimer(delayMs, callback) {
      const timer = setTimeout(() => callback(), delayMs)
      return () => clearTimeout(timer)
    },
  },
  random: { below: () => 0, bytes: (count) => new Uint8Array(count) },
  logger,
}
// The even runs have three groups' own files, the odd ones a shared one, which is soon relocated.
const limits = {
  segmentThresholdBytes: 500,
  segmentBytes: 20_000,
  crowdedAboveGroups: process.argv[3] === 'shared' ? 1 : 3,
  sharedThresholdBytes: 300,
  sharedSegmentBytes: 20_000,
  sharedBytes: 30_000,
  tailBytes: 1000,
}
const log = await openLogStorage(env, process.argv[2], { clusterName: 'test', nodeId: 'n1' }, limits)
const groups = [1, 2, 3]

if (log.recovered.size === 0) {
  const create = {
    index: 0,
    term: 0,
    digest: 0n,
    configuration: { voters: ['n1'], votersOutgoing: [], learners: [] },
    state: new Uint8Array(0),
  }
  await log.commit(groups.map((groupId) => ({ groupId, create })))
}

function entryAfter(previous) {
  const index = previous.index + 1
  const payload = [new Uint8Array((index * 97) % 1500).fill(index % 251)]
  const fields = {
    index,
    term: 1,
    kind: 'event',
    header: Uint8Array.of(index % 256),
    payload,
    payloadBytes: payload[0].length,
    payloadCrc32: payloadCrc32(payload),
  }
  return { ...fields, digest: chain(previous.digest, fields) }
}

function nextTurn() {
  return groups.map((groupId) => {
    const entries = []
    for (let i = 0; i <= groupId; i++) entries.push(entryAfter(entries.at(-1) ?? log.lastMark(groupId)))
    return {
      groupId,
      entries,
      hardState: { term: 1, votedFor: undefined, commit: log.lastMark(groupId).index },
    }
  })
}

try {
  for (;;) {
    await log.commit(nextTurn())
    process.stdout.write(groups.map((groupId) => `${groupId} ${log.lastMark(groupId).index}\n`).join(''))
  }
} catch (error) {
  const again = await log.commit(nextTurn()).catch((second) => second)
  process.stdout.write(`failed ${error.name}: ${error.message}\nagain ${again?.message}\n`)
  process.exit(3)
}
