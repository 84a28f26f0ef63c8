import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { root } from './pages.ts'

const run = promisify(execFile)
/** The mended handler ran with thousands of seeds by hand; here a few show that nothing has changed. */
const SEEDS = '15'
let project: string

// A project of its own with the built package, as a user has it.
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'flotilla-simulate-'))
  await mkdir(join(project, 'node_modules'))
  await symlink(root, join(project, 'node_modules', 'flotilla'))
  await symlink(join(root, 'node_modules', '@types'), join(project, 'node_modules', '@types'))
  await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module' }))
  await cp(join(root, 'examples/simulate-your-handler/simulate.ts'), join(project, 'simulate.ts'))
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
  }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['simulate.ts'] }))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  await run(process.execPath, [compiler, '-p', project]).catch((error: { stdout?: string }) => {
    throw new Error(`the example doesn't compile as a project of its own: ${error.stdout}`)
  })
}, 60_000)
afterAll(() => rm(project, { recursive: true, force: true }))

async function simulation(
  words: string[],
  env: Record<string, string>,
): Promise<{ code: number; said: string }> {
  const options = { cwd: project, env: { ...process.env, ...env } }
  return run(process.execPath, ['simulate.js', ...words], options).then(
    ({ stderr }) => ({ code: 0, said: stderr }),
    ({ code, stderr }: { code: number; stderr: string }) => ({ code, said: stderr }),
  )
}

it('finds the handler that charges twice, and what it takes: one kill', { timeout: 120_000 }, async () => {
  const { code, said } = await simulation([], { FLOTILLA_SIM_SEEDS: SEEDS })
  expect(said).toMatch(/seed (\d+) broke invariant after \d+ virtual ms: Error: order-\d+ is charged twice/)
  expect(said).toMatch(/FLOTILLA_SIM_SEED=\d+ node simulate\.js/)
  expect(said).toMatch(/at +\d+ ms +a process is killed/)
  expect(code).toBe(1)
})

it('finds nothing in its mended twin', { timeout: 120_000 }, async () => {
  const { code, said } = await simulation(['mended'], { FLOTILLA_SIM_SEEDS: SEEDS })
  expect(said).toContain(`all held in ${SEEDS} runs`)
  expect(code).toBe(0)
})
