import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import corpus from '../../sim/corpus.json' with { type: 'json' }
import { outside } from '../../sim/cluster/poison.ts'
import type { Dress } from '../../sim/cluster/world.ts'
import { memberFaults } from '../../sim/faults/kinds.ts'
import { runSeed } from '../../sim/simulation.ts'

const run = promisify(execFile)
/** Of the runs that are compared: a digest differs at once or never. */
const DURATION_MS = 6000
const root = fileURLToPath(new URL('../..', import.meta.url))

/** What a reader needs to see it again. */
const replay = (seed: number): string => `npm run sim -- --seed ${seed}`

async function digestInAnotherProcess(seed: number): Promise<string> {
  const { stdout } = await run(
    process.execPath,
    ['--import', 'tsx', 'sim/run.ts', '--seed', `${seed}`, '--seconds', `${DURATION_MS / 1000}`, '--digest'],
    {
      cwd: root,
    },
  )
  return /^digest ([0-9a-f]{8})$/m.exec(stdout)?.[1] ?? stdout
}

describe('a simulated cluster', () => {
  test('runs the same for the same seed, also in another process', { timeout: 120_000 }, async () => {
    const options = { durationMs: DURATION_MS }
    const first = await runSeed(11, options)
    const second = await runSeed(11, options)
    expect(second.checkpoints).toEqual(first.checkpoints)
    expect(second.digest).toBe(first.digest)
    expect((await runSeed(12, options)).digest).not.toBe(first.digest)
    expect(await digestInAnotherProcess(11)).toBe(first.digest)
  })

  test(
    'does not, where something of the outside gets in: the comparison would notice',
    { timeout: 60_000 },
    async () => {
      let leak = 0
      const leaky: Dress = (_nodeId, env) => ({
        ...env,
        random: {
          below: (bound) => (env.random.below(bound) + leak++) % bound,
          bytes: (count) => env.random.bytes(count),
        },
      })
      const options = { durationMs: DURATION_MS, dress: leaky }
      const first = await runSeed(11, options)
      expect((await runSeed(11, options)).digest).not.toBe(first.digest)
    },
  )

  test('lets nothing of the outside be changed when it is over', async () => {
    await runSeed(1, { durationMs: 100 })
    expect(globalThis.setTimeout).toBe(outside.setTimeout)
    expect(Date.now()).toBeGreaterThan(0)
    expect(new Date()).toBeInstanceOf(Date)
  })

  test('notices an assertion that broke where somebody only tries again', { timeout: 60_000 }, async () => {
    const swallowing: Dress = (nodeId, env) => {
      env.clock.setTimer(1000, () =>
        env.logger.debug({ error: `LogAssertionError: assertion log.x failed: on ${nodeId}` }, 'again'),
      )
      return env
    }
    const { violation } = await runSeed(11, { durationMs: DURATION_MS, faults: [], dress: swallowing })
    expect(violation?.law).toBe('internal-error')
    expect(violation?.detail).toMatch(/assertion log\.x failed: on n\d/)
  })

  test('notices a node that writes after it has closed', { timeout: 60_000 }, async () => {
    const late: Dress = (_nodeId, env) => ({
      ...env,
      disk: {
        ...env.disk,
        openStore: async (path) => {
          const store = await env.disk.openStore(path)
          const close = store.close.bind(store)
          store.close = async () => {
            await close()
            void env.disk.files.remove('/data/something')
          }
          return store
        },
      },
    })
    const { violation } = await runSeed(2, { durationMs: DURATION_MS, faults: ['restart'], dress: late })
    expect(violation?.law).toBe('internal-error')
    expect(violation?.detail).toMatch('has closed and still writes to its disk')
  })

  test('acknowledges, reads and elects, and is struck by faults', { timeout: 60_000 }, async () => {
    const { acknowledged, recordsRead, elections, faults, violation } = await runSeed(3)
    expect(violation, replay(3)).toBeUndefined()
    expect(acknowledged).toBeGreaterThan(100)
    expect(recordsRead).toBeGreaterThan(acknowledged)
    expect(elections).toBeGreaterThan(2)
    expect(Object.values(faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(10)
  })

  test.each([...Array.from({ length: 8 }, (_, at) => at + 1), randomInt(2 ** 47), randomInt(2 ** 47)])(
    'keeps every law with seed %d',
    { timeout: 60_000 },
    async (seed) => {
      const { violation } = await runSeed(seed)
      expect(violation, replay(seed)).toBeUndefined()
    },
  )
})

describe('a simulated cluster whose members change', () => {
  test('keeps every law while members change and disks are lost', { timeout: 120_000 }, async () => {
    const struck = { wipe: 0, move: 0, join: 0, leave: 0 }
    const faults = [...memberFaults, 'crash', 'crash-leader', 'power-loss', 'partition', 'pause'] as const
    const isMissing = (): boolean => memberFaults.some((kind) => struck[kind] === 0)
    // Eight, and as many more as it takes until each kind has struck.
    for (let seed = 1; seed <= 8 || (isMissing() && seed <= 30); seed++) {
      const result = await runSeed(seed, { faults, durationMs: 15_000 })
      const command = `${replay(seed)} --faults ${faults.join()} --seconds 15`
      expect(result.violation, command).toBeUndefined()
      expect(result.acknowledged).toBeGreaterThan(0)
      for (const kind of memberFaults) struck[kind] += result.faults[kind]
    }
    for (const kind of memberFaults) expect(struck[kind], kind).toBeGreaterThan(0)
  })
})

describe('a seed that once found a bug', () => {
  test.each(corpus)('$seed stays good: $story', { timeout: 60_000 }, async ({ seed, options }) => {
    const { violation } = await runSeed(seed, options)
    expect(violation, `${replay(seed)} with ${JSON.stringify(options ?? {})}`).toBeUndefined()
  })
})
