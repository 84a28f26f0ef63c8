/**
 * npm run test:stubs: programs in Python, with stubs that the standard protobuf compiler has just made from proto/,
 * against a real cluster of three nodes. Where this machine has no Python that will do, it says so and ends with 0;
 * with FLOTILLA_REQUIRE_STUBS=1 that is a failure.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startTestCluster } from 'flotilla/testing'
import { Program, runProgram } from './program.js'
import { generateStubs, prepareEnvironment, PythonMissing } from './python-environment.js'

const programs = fileURLToPath(new URL('python', import.meta.url))
const timeoutMs = 120_000
/** The nodes share a process and a busy machine: a leader is not to be lost but where a scenario takes it. */
const calmElections = { tickMs: 50, electionTimeoutMs: 1_000, heartbeatMs: 100 }

/** @typedef {{ python: string, env: NodeJS.ProcessEnv, cluster: Awaited<ReturnType<typeof startTestCluster>> }} Setting */

/**
 * What stubs may rely on, each statement met through a node that doesn't lead the partition.
 * @param {Setting} setting
 */
async function conformance({ python, env, cluster }) {
  const [address] = cluster.bootstrap
  const args = [join(programs, 'conformance.py'), address, 'conformance']
  const statements = await runProgram(python, args, { env, timeoutMs })
  return `${statements.length} statements hold`
}

/**
 * The README's producer and consumer: the node that the producer talks to is lost on the way, and every line is there
 * once, in the order of its key.
 * @param {Setting} setting
 */
async function throughTheLossOfANode({ python, env, cluster }) {
  const topic = 'orders'
  const client = await cluster.connect()
  await client.topics.create(topic, { partitions: 3 })
  const lines = Array.from({ length: 60 }, (_, number) => `key-${number % 7} order ${number}`)
  const addresses = `ipv4:${cluster.bootstrap.join(',')}`

  const producer = new Program(python, [join(programs, 'producer.py'), addresses, topic], { env, timeoutMs })
  producer.write(lines.slice(0, 30))
  await producer.untilLines(20)
  await cluster.stopNode('n1', { handOver: false })
  producer.write(lines.slice(30))
  const acknowledged = await producer.finish()
  assert.equal(acknowledged.length, lines.length, 'every line is acknowledged')

  const args = [join(programs, 'consumer.py'), cluster.addressOf('n3'), topic]
  const consumed = await runProgram(python, args, { env, timeoutMs })
  const texts = consumed.map((line) => line.slice(line.indexOf('  ') + 2))
  assert.deepEqual(byKey(texts), byKey(lines), 'every line is there once, in the order of its key')
  return `${lines.length} lines went through the loss of a node`
}

/**
 * Two members share a topic; one is killed, and the other goes on where it had committed: no line is left out.
 * @param {Setting} setting
 */
async function twoMembersOfAGroup({ python, env, cluster }) {
  const topic = 'payments'
  const client = await cluster.connect()
  await client.topics.create(topic, { partitions: 4 })
  const producer = client.producer()
  /** @param {number} from @param {number} to */
  const send = async (from, to) => {
    for (let line = from; line < to; line++)
      await producer.send({ topic, partition: line % 4, value: `payment ${line}` })
  }
  const start = (/** @type {string} */ nodeId) =>
    new Program(python, [join(programs, 'group_member.py'), cluster.addressOf(nodeId), 'billing', topic], {
      env,
      timeoutMs,
    })
  const members = [start('n2'), start('n3')]
  await send(0, 20)
  // Each is assigned two, and all that is there is printed.
  await until(
    () => linesOf(members, 'payment').size === 20 && members.every(({ output }) => ownedIn(output) >= 2),
  )
  members[0]?.kill()
  await send(20, 60)
  await until(() => linesOf(members, 'payment').size === 60)
  members[1]?.kill()
  await producer.close()
  return 'a member of a group took over from one that was killed'
}

/**
 * What the members have printed that begins with `word`, each once.
 * @param {readonly Program[]} members
 * @param {string} word
 */
function linesOf(members, word) {
  const found = members.flatMap(({ output }) => output.split('\n').map((line) => line.split('  ')[1] ?? ''))
  return new Set(found.filter((text) => text.startsWith(word)))
}

/** @param {string} output */
function ownedIn(output) {
  return output.split('\n').filter((line) => line.startsWith('assigned ')).length
}

/** @param {() => boolean} holds */
async function until(holds) {
  const deadline = performance.now() + timeoutMs / 2
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${holds.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** @param {readonly string[]} lines */
function byKey(lines) {
  /** @type {Record<string, string[]>} */
  const found = {}
  for (const line of lines) (found[line.split(' ', 1)[0] ?? ''] ??= []).push(line)
  return found
}

async function main() {
  const { python, version } = await prepareEnvironment()
  const startMs = performance.now()
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-stubs-'))
  try {
    await generateStubs(python, folder)
    const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1' }
    const cluster = await startTestCluster({ limits: calmElections })
    try {
      const setting = { python, env, cluster }
      const results = [
        await conformance(setting),
        await twoMembersOfAGroup(setting),
        await throughTheLossOfANode(setting),
      ]
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
      console.log(`stubs: passed with Python ${version} in ${seconds} s: ${results.join(', ')}`)
    } finally {
      await cluster.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

try {
  await main()
} catch (error) {
  const isMissing = error instanceof PythonMissing
  if (isMissing && process.env.FLOTILLA_REQUIRE_STUBS !== '1') {
    console.log(`stubs: skipped, not tested on this machine: ${error.message}`)
  } else {
    console.error(isMissing ? `stubs: failed: ${error.message}` : error)
    process.exitCode = 1
  }
}
