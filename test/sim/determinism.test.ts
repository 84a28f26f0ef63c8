import { execFile, execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { MutantTree, root } from '../../sim/mutants/tree.ts'

const run = promisify(execFile)
const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
/** A digest differs at once or never. */
const SECONDS = 6

/** What a process of its own, with this Node, makes of a seed. */
async function digestBy(node: string, seed: number, directory = root): Promise<string> {
  const words = ['sim/run.ts', '--seed', `${seed}`, '--seconds', `${SECONDS}`, '--digest']
  const { stdout } = await run(node, ['--import', loader, ...words], { cwd: directory })
  return /^digest ([0-9a-f]{8})$/m.exec(stdout)?.[1] ?? stdout
}

async function coreFiguresBy(node: string): Promise<string> {
  const words = ['--import', loader, 'sim/run.ts', '--core', '--seeds', '20']
  return (await run(node, words, { cwd: root })).stdout
}

const majorOf = (version: string): number => Number(/^v(\d+)\./.exec(version)?.[1])

/** A Node of another major version: FLOTILLA_OTHER_NODE, or one on the PATH. */
function findOtherNode(): string | undefined {
  const named = process.env['FLOTILLA_OTHER_NODE']
  const names = ['node', 'nodejs', 'node22', 'node24', 'node26']
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
  return [...(named === undefined ? [] : [named]), ...onPath].find((path) => {
    if (!existsSync(path)) return false
    const major = majorOf(execFileSync(path, ['--version'], { encoding: 'utf8' }))
    return major >= 20 && major !== majorOf(process.version)
  })
}

const otherNode = findOtherNode()
if (otherNode === undefined) {
  console.log(
    `there is no Node but ${process.version} here (FLOTILLA_OTHER_NODE names one): runs on two major versions are not compared`,
  )
}

describe('a seed', () => {
  test.skipIf(otherNode === undefined)(
    'is the same run on two major versions of Node',
    { timeout: 120_000 },
    async () => {
      const [here, there] = await Promise.all([digestBy(process.execPath, 11), digestBy(otherNode!, 11)])
      expect(here).toMatch(/^[0-9a-f]{8}$/)
      expect(there).toBe(here)
      expect(await coreFiguresBy(otherNode!)).toBe(await coreFiguresBy(process.execPath))
    },
  )

  test(
    'is not the same run in two processes where the number of the process gets in',
    { timeout: 120_000 },
    async () => {
      await using tree = await MutantTree.create({
        name: 'drawn-from-outside',
        edits: [
          {
            file: 'sim/env/random.ts',
            find: '() => this.#stream.below(256))',
            put: '(_, at) => this.#stream.below(256) ^ ((process.pid >> (8 * (at % 3))) & 255))',
          },
        ],
      })
      const first = await digestBy(process.execPath, 11, tree.directory)
      expect(first).toMatch(/^[0-9a-f]{8}$/)
      expect(await digestBy(process.execPath, 11, tree.directory)).not.toBe(first)
    },
  )
})
