import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { main, type Io } from '../../sim/main.ts'
import { parseOptions } from '../../sim/options.ts'
import { drawPlan, type Plan } from '../../sim/plan.ts'
import { scenarioNames, scenarios } from '../../sim/scenarios.ts'
import { shrink } from '../../sim/shrink.ts'
import { ProducerTable } from '../../src/broker/partition/producers.ts'

let folder: string
let printed: string[]
let told: string[]
const io: Io = {
  print: (text) => printed.push(text),
  tell: (text) => told.push(text),
  isTerminal: false,
  nowMs: () => performance.now(),
}
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flotilla-sim-'))
  printed = []
  told = []
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('wrong use', () => {
  test.each([
    [['--seed', 'seven'], 'seed is seven'],
    [['--faults', 'gremlins'], 'names "gremlins"'],
    [['--speed', '9'], "'--speed'"],
    [['--nodes', '0'], 'nodes is 0'],
    [['--output', 'xml'], 'not xml'],
    [['--scenario', 'doom'], 'there are nats-lazy-fsync'],
    [['--scenario', 'bad-disks', '--faults', 'crash'], 'brings its own faults'],
    [['--repro', '/nowhere/repro.json'], "can't be read"],
    [['--seeds', '5', '--view', 'run.html'], 'draws one run'],
  ])('%j is exit code 2, and says what is wrong', async (argv, message) => {
    expect(await main(argv, io)).toBe(2)
    expect(told.join('\n')).toContain(message)
  })
})

test('help explains every fault and every check in a line', async () => {
  expect(await main(['--help'], io)).toBe(0)
  expect(printed[0]).toContain('power-loss-all')
  expect(printed[0]).toContain('acknowledged-not-durable')
})

test.each(scenarioNames)(
  'scenario %s meets each of its faults in a run, and help explains it',
  async (name) => {
    const command = parseOptions(['--scenario', name, '--seed', '5'])
    if (command.type !== 'run') throw new Error(command.type)
    const { faults, work } = drawPlan(5, command.options.plan)
    const kinds = new Set<string>([...faults, ...work].map(({ kind }) => kind))
    expect(scenarios[name].plan.faults.filter((kind) => !kinds.has(kind))).toEqual([])
    await main(['--help'], io)
    expect(printed[0]).toContain(scenarios[name].line)
  },
)

test('a scenario runs, and is part of the command that runs it again', { timeout: 60_000 }, async () => {
  const path = join(folder, 'run.html')
  const argv = ['--scenario', 'nats-lazy-fsync', '--seed', '3', '--seconds', '3', '--view', path]
  expect(await main(argv, { ...io, command: 'flotilla sim' })).toBe(0)
  const page = await readFile(path, 'utf8')
  expect(page).toContain('"flotilla sim --seed 3 --scenario nats-lazy-fsync --seconds 3"')
})

test('faults are chosen by name', () => {
  const command = parseOptions(['--faults', 'crash,partition', '--seed', '5'])
  expect(command).toMatchObject({
    type: 'run',
    options: { seeds: 1, firstSeed: 5, plan: { faults: ['partition', 'crash'] } },
  })
  const kinds = new Set(drawPlan(5, { faults: ['crash'] }).faults.map(({ kind }) => kind))
  expect([...kinds].every((kind) => kind === 'crash')).toBe(true)
})

test('a swarm ends with a summary and exit code 0', { timeout: 120_000 }, async () => {
  expect(await main(['--seeds', '3', '--first-seed', '1', '--seconds', '3', '--jobs', '2'], io)).toBe(0)
  expect(printed.join('\n')).toMatch(/^seeds +3$/m)
  expect(printed.join('\n')).toMatch(/^acknowledged records +\d/m)
  expect(printed.join('\n')).toContain('all held in 3 runs')
})

test('one run is drawn where somebody wants to see it', { timeout: 60_000 }, async () => {
  const path = join(folder, 'run.html')
  expect(await main(['--seed', '7', '--seconds', '2', '--view', path], io)).toBe(0)
  expect(await readFile(path, 'utf8')).toContain('npm run sim -- --seed 7 --seconds 2')
  expect(told.join('\n')).toContain('open it in a browser')
  expect(told.join('\n')).not.toContain('another run')
})

test('the core alone is behind --core', async () => {
  expect(await main(['--core', '--seeds', '2'], io)).toBe(0)
  expect(printed[0]).toContain('2 seeds from 1')
})

test(
  'a run that breaks a law is exit code 1, with a command that replays it and a plan',
  { timeout: 120_000 },
  async () => {
    const check = vi.spyOn(ProducerTable.prototype, 'check').mockReturnValue({ type: 'next' })
    try {
      const argv = '--first-seed 1 --seeds 40 --nodes 3 --seconds 5 --jobs 1 --shrink-seconds 5 --out'.split(
        ' ',
      )
      expect(await main([...argv, folder], io)).toBe(1)
      const text = told.join('\n')
      expect(text).toMatch(/broke (duplicate|zombie-wrote)/)
      const seed = Number(/seed (\d+) broke/.exec(text)?.[1])
      expect(text).toContain(`npm run sim -- --seed ${seed} --nodes 3 --seconds 5`)
      const repro = JSON.parse(await readFile(join(folder, 'repro.json'), 'utf8')) as { plan: Plan }
      const whole = drawPlan(seed, { nodes: 3, durationMs: 5000 })
      expect(repro.plan.work.length).toBeLessThanOrEqual(whole.work.length)
      expect(repro.plan.faults.length).toBeLessThanOrEqual(whole.faults.length)
      expect(await readFile(join(folder, 'repro.html'), 'utf8')).toContain('--repro')
      told = []
      expect(await main(['--repro', join(folder, 'repro.json')], io)).toBe(1)
      expect(told.join('\n')).toMatch(/broke (duplicate|zombie-wrote)/)
    } finally {
      check.mockRestore()
    }
  },
)

test('shrinking leaves what a failure needs and nothing else', async () => {
  const plan = drawPlan(1, { nodes: 3, partitions: 4 })
  const needed = [plan.faults[3]!, plan.faults[7]!]
  const violation = { law: 'duplicate', timeMs: 29_999, detail: '' } as const
  const { plan: smallest } = await shrink(
    plan,
    violation,
    async ({ faults }) =>
      needed.every(({ kind, atMs }) => faults.some((fault) => fault.kind === kind && fault.atMs === atMs))
        ? violation
        : undefined,
    () => true,
  )
  expect(smallest.faults.map(({ kind, atMs }) => `${kind} ${atMs}`)).toEqual(
    needed.map(({ kind, atMs }) => `${kind} ${atMs}`),
  )
  expect(smallest.work).toEqual([])
  expect(smallest).toMatchObject({ partitions: 1, producers: 1 })
})
