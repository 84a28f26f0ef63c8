import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { root } from './pages.ts'

const run = promisify(execFile)
const FILES = ['producer.ts', 'consumer.ts', 'group.ts']
let project: string
let cluster: TestCluster

// A project of its own with Flotilla among its packages: what a user has. The build comes before the tests.
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'flotilla-examples-'))
  await mkdir(join(project, 'node_modules'))
  await symlink(root, join(project, 'node_modules', 'flotilla'))
  await symlink(join(root, 'node_modules', '@types'), join(project, 'node_modules', '@types'))
  await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module' }))
  for (const file of FILES) await cp(join(root, 'examples', file), join(project, file))
  const compilerOptions = {
    target: 'es2022',
    module: 'nodenext',
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    rootDir: '.',
    outDir: 'dist',
  }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: FILES }))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  // A refusal is on standard output, which a failed run's message leaves out.
  await run(process.execPath, [compiler, '-p', project]).catch((error: { stdout?: string }) => {
    throw new Error(`the examples don't compile as a project of their own: ${error.stdout}`)
  })
  cluster = await startTestCluster()
})

afterAll(async () => {
  await cluster?.close()
  await rm(project, { recursive: true, force: true })
})

async function example(name: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await run(process.execPath, [join(project, 'dist', `${name}.js`), ...args], {
    env: { ...process.env, FLOTILLA_BOOTSTRAP: cluster.bootstrap.join() },
  })
  return stdout.trimEnd().split('\n')
}

it('appends with the producer, and reads it with the consumer, each customer in order', async () => {
  expect(await example('producer')).toEqual([
    'ann: partition 2, offset 0',
    'bob: partition 1, offset 0',
    'ann: partition 2, offset 1',
    'cleo: partition 1, offset 1',
  ])
  const lines = await example('consumer', '--until-end')
  // Partitions come interleaved, each of them in order.
  expect(lines.filter((line) => line.startsWith('1/'))).toEqual([
    '1/0  bob  {"customer":"bob","item":"coffee"}',
    '1/1  cleo  {"customer":"cleo","item":"tea"}',
  ])
  expect(lines.filter((line) => line.startsWith('2/'))).toEqual([
    '2/0  ann  {"customer":"ann","item":"tea"}',
    '2/1  ann  {"customer":"ann","item":"cake"}',
  ])
  expect(lines).toHaveLength(4)
})

it('goes on where the topic is there already', async () => {
  const lines = await example('producer')
  expect(lines).toHaveLength(4)
  expect((await example('consumer', '--until-end')).length).toBeGreaterThanOrEqual(4)
})

/** Runs the member until it has handled so many orders, then stops it as Ctrl-C does; its lines about orders. */
async function member(orders: number): Promise<string[]> {
  const child = spawn(process.execPath, [join(project, 'dist', 'group.js')], {
    env: { ...process.env, FLOTILLA_BOOTSTRAP: cluster.bootstrap.join() },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  let output = ''
  let isStopped = false
  const handled = (): string[] => output.split('\n').filter((line) => /^\d+\/\d+ /.test(line))
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    output += chunk as string
    // Once: a second one ends the process at once, as it does for whoever is in a hurry.
    if (!isStopped && handled().length >= orders) isStopped = child.kill('SIGINT')
  }
  expect(await closed).toEqual([0, null])
  return handled()
}

it('handles orders in a group, and goes on where the group was', async () => {
  await example('producer')
  const before = (await example('consumer', '--until-end')).length
  expect(await member(before)).toHaveLength(before)
  await example('producer')
  expect(await member(4)).toHaveLength(4)
})
