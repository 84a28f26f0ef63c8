import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { simulate, SimulationError, type SimulateOptions, type Workload } from '../../sim/user/index.ts'
import { drawWorkloadPlan } from '../../sim/user/plan.ts'
import { runWorkload } from '../../sim/user/run.ts'

let folder: string
let said: string[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flotilla-user-sim-'))
  said = []
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

const print = (line: string): void => void said.push(line)
const text = new TextDecoder()

interface Counter {
  counted: number
}

/** Appends five numbers, and a process that adds up what it reads; `add` may be told twice of the same one. */
function adding(change: Partial<Workload<Counter>> = {}): Workload<Counter> {
  return {
    topics: [{ name: 'numbers', partitions: 1 }],
    outside: () => ({ counted: 0 }),
    processes: {
      writer: async ({ client }) => {
        const producer = client.producer()
        for (let number = 1; number <= 5; number++)
          await producer.send({ topic: 'numbers', value: `${number}` })
      },
      adder: async ({ client, act }) => {
        for await (const { value } of client.reader({ topic: 'numbers', untilEnd: false })) {
          const number = Number(text.decode(value))
          await act(`count number-${number}`, (counter) => (counter.counted += 1))
        }
      },
    },
    spared: ['writer'],
    isDone: ({ counted }) => counted >= 5,
    ...change,
  }
}

async function failureOf(
  workload: Workload<Counter>,
  options: SimulateOptions = {},
): Promise<SimulationError> {
  const error: unknown = await simulate(workload, { print, firstSeed: 1, seeds: 20, ...options }).catch(
    (reason: unknown) => reason,
  )
  if (error instanceof SimulationError) return error
  throw new Error(`nothing broke: ${String(error)}`)
}

const once = {
  always: ({ counted }: Counter): void => {
    if (counted > 5) throw new Error(`it counted ${counted} of 5 numbers`)
  },
}

describe('a workload of a user', { timeout: 120_000 }, () => {
  test('that breaks its invariant is reported with the seed, the command that runs it again, and little else', async () => {
    const error = await failureOf(adding(once))
    expect(error.law).toBe('invariant')
    expect(error.detail).toContain('it counted 6 of 5 numbers')
    expect(error.message).toContain(`seed ${error.seed} broke invariant`)
    expect(error.message).toContain(`FLOTILLA_SIM_SEED=${error.seed} node `)
    // A single kill is enough: nothing else has to happen.
    expect(error.plan.faults.length + error.plan.work.length).toBeLessThanOrEqual(2)
  })

  test('breaks the same way when its seed runs again, and is drawn where somebody wants to see it', async () => {
    const first = await failureOf(adding(once), { shrinkSeconds: 0 })
    const path = join(folder, 'run.html')
    vi.stubEnv('FLOTILLA_SIM_SEED', String(first.seed))
    vi.stubEnv('FLOTILLA_SIM_VIEW', path)
    const again = await failureOf(adding(once), { shrinkSeconds: 0 })
    expect({ seed: again.seed, detail: again.detail }).toEqual({ seed: first.seed, detail: first.detail })
    const page = await readFile(path, 'utf8')
    expect(page).toContain('count number-')
    expect(page).toContain(`FLOTILLA_SIM_SEED=${first.seed}`)
  })

  test('that holds is run through faults, and its processes are killed', async () => {
    const report = await simulate(adding(), { print, firstSeed: 1, seeds: 6 })
    expect(report.kills).toBeGreaterThan(3)
    expect(report.acts).toBeGreaterThanOrEqual(6 * 5)
    expect(report.faults['client-crash']).toBe(report.kills)
    expect(said.at(-1)).toMatch(/^all held in 6 runs/)
  })

  test('that is a member of a consumer group goes through everything, killed or not', async () => {
    const seen = (): Set<string> => new Set()
    const group: Workload<Set<string>> = {
      topics: [{ name: 'numbers', partitions: 2 }],
      outside: seen,
      processes: {
        writer: async ({ client }) => {
          const producer = client.producer()
          for (let number = 1; number <= 5; number++)
            await producer.send({ topic: 'numbers', key: `${number}`, value: `${number}` })
        },
        member: async ({ client, act }) => {
          const consumer = client.consume({ group: 'adders', topics: ['numbers'], sessionTimeoutMs: 2000 })
          for await (const { value } of consumer)
            await act('see a number', (set) => set.add(text.decode(value)))
        },
      },
      spared: ['writer'],
      isDone: (set) => set.size === 5,
    }
    const { kills } = await simulate(group, { print, firstSeed: 1, seeds: 6, shrinkSeconds: 0 })
    expect(kills).toBeGreaterThan(3)
    const path = join(folder, 'run.html')
    await simulate(group, { print, seed: 2, view: path })
    const page = await readFile(path, 'utf8')
    expect(page).toContain('joins group adders')
    expect(page).toMatch(/is given numbers\/\d from 0, epoch 1/)
  })

  test('goes the same way for the same seed', async () => {
    const { digest } = await runWorkload(adding(), drawWorkloadPlan(7))
    expect((await runWorkload(adding(), drawWorkloadPlan(7))).digest).toBe(digest)
  })

  test('meets no fault where none may strike', async () => {
    const { faults, kills } = await simulate(adding(once), { print, firstSeed: 1, seeds: 3, faults: [] })
    expect({ faults, kills }).toEqual({ faults: {}, kills: 0 })
  })

  test('that does not finish fails for lack of progress', async () => {
    const error = await failureOf(adding({ isDone: () => false }), { shrinkSeconds: 0, faults: [] })
    expect(error.law).toBe('progress')
    expect(error.detail).toContain('is not done')
  })

  test('of which a process fails in its own way is a failure, with the stack', async () => {
    const broken = adding({
      processes: { writer: () => Promise.reject(new TypeError('no such thing')), adder: async () => {} },
    })
    const error = await failureOf(broken, { shrinkSeconds: 0 })
    expect(error.law).toBe('internal-error')
    expect(error.detail).toContain('no such thing')
  })

  test('that looks at the real clock is told so', async () => {
    const hasty = adding({
      processes: {
        writer: async ({ client }) => {
          await client.producer().send({ topic: 'numbers', value: String(Date.now()) })
        },
        adder: async () => {},
      },
    })
    const error = await failureOf(hasty, { shrinkSeconds: 0 })
    expect(error.message).toContain('simulated code called Date.now()')
  })

  test('may look at everything when it is done', async () => {
    const looking = adding({
      atEnd: async (_, client) => {
        let records = 0
        for await (const _record of client.reader({ topic: 'numbers', untilEnd: true })) records++
        if (records !== 6) throw new Error(`there are ${records} records`)
      },
    })
    const error = await failureOf(looking, { shrinkSeconds: 0, faults: [] })
    expect(error).toMatchObject({ law: 'invariant' })
    expect(error.detail).toContain('there are 5 records')
  })
})

describe('wrong use of simulate', () => {
  test('a second one at the same time is refused; one after the other is fine', async () => {
    const options = { print, firstSeed: 1, seeds: 1, faults: [] }
    const first = simulate(adding(), options)
    await expect(simulate(adding(), options)).rejects.toThrow('is running already')
    await first
    await simulate(adding(), options)
  })
  test.each<[Partial<Workload<Counter>>, SimulateOptions, string]>([
    [{ processes: {} }, {}, 'has 1 to 16 processes'],
    [{ processes: { n1: async () => {} }, spared: [] }, {}, 'can\'t be called "n1"'],
    [{ spared: ['nobody'] }, {}, 'spared names "nobody"'],
    [{ topics: [] }, {}, 'at least one topic'],
    [{}, { faults: ['zombie'] }, 'faults names "zombie"'],
    [{}, { seeds: 0 }, 'seeds is 0'],
    [{}, { nodes: 12 }, 'nodes is 12'],
  ])('%j with %j is a RangeError', async (change, options, message) => {
    await expect(simulate(adding(change), { print, ...options })).rejects.toThrow(message)
  })
})
