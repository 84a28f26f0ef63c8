/**
 * Commits turns to the folder in argv[2] until it is killed, and prints `GROUP INDEX` for each group of a turn once the
 * turn is durable. Entry I of a group has I * 97 % 1500 payload bytes, all of them I % 251. Runs on the built code.
 */
import { nodeClock } from '../../dist/env/node/clock.js'
import { nodeDisk } from '../../dist/env/node/disk.js'
import { nodeLogger } from '../../dist/env/node/logger.js'
import { nodeRandom } from '../../dist/env/node/random.js'
import { openLogStorage, payloadCrc32 } from '../../dist/log/index.js'
import { chain } from '../../dist/raft/index.js'

const env = {
  disk: nodeDisk(),
  clock: nodeClock(),
  random: nodeRandom(),
  logger: nodeLogger({ level: 'error' }),
}
const limits = { segmentThresholdBytes: 500, segmentBytes: 20_000, tailBytes: 1000 }
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

for (;;) {
  const turn = groups.map((groupId) => {
    const entries = []
    for (let i = 0; i <= groupId; i++) entries.push(entryAfter(entries.at(-1) ?? log.lastMark(groupId)))
    return {
      groupId,
      entries,
      hardState: { term: 1, votedFor: undefined, commit: log.lastMark(groupId).index },
    }
  })
  await log.commit(turn)
  process.stdout.write(groups.map((groupId) => `${groupId} ${log.lastMark(groupId).index}\n`).join(''))
}
