import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { pages, read, root, sessionsOf } from './pages.ts'

let cluster: TestCluster
let tools: string

beforeAll(async () => {
  // `npx flotilla` is the built command line, without npm's seconds.
  tools = await mkdtemp(join(tmpdir(), 'flotilla-npx-'))
  const npx = `#!/bin/sh\nshift\nexec "${process.execPath}" "${root}/bin/flotilla.js" "$@"\n`
  await writeFile(join(tools, 'npx'), npx)
  await chmod(join(tools, 'npx'), 0o755)
  cluster = await startTestCluster()
})

afterAll(async () => {
  await cluster?.close()
  await rm(tools, { recursive: true, force: true })
})

/** Runs it as a shell would, standard error in between. */
function run(line: string): Promise<{ readonly code: number; readonly output: string }> {
  const env = {
    ...process.env,
    PATH: `${tools}${delimiter}${process.env['PATH']}`,
    FLOTILLA_BOOTSTRAP: cluster.bootstrap.join(),
  }
  return new Promise((resolve) => {
    execFile('sh', ['-c', `{ ${line}\n} 2>&1`], { env }, (error, output) =>
      resolve({ code: error === null ? 0 : Number(error.code), output }),
    )
  })
}

/** What stays the same from run to run: the words, and how many lines of which kind there are. */
function shapeOf(output: string): string[] {
  return output
    .trim()
    .split('\n')
    .map((line) =>
      line
        .replace(/^cluster \S+/, 'cluster NAME')
        .replaceAll(/\b\d+(\.\d+)? m?s\b/g, 'a time')
        .replaceAll(/\b[0-9a-f]{8,32}\b/g, 'hash')
        .replaceAll(/\b(leader|follower)\b/g, 'role')
        .replaceAll(/\d+/g, '#')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    )
    .toSorted()
}

describe.each(pages.filter((path) => sessionsOf(read(path)).length > 0))('%s', (path) => {
  it('shows sessions that run and print what it says', async () => {
    for (const { line, output } of sessionsOf(read(path)).flat()) {
      const actual = await run(line)
      expect(actual.code, `${line}\n${actual.output}`).toBe(0)
      expect(shapeOf(actual.output), line).toEqual(shapeOf(output.join('\n')))
    }
  })
})

it('finds the session of the README', () => {
  const commands = sessionsOf(read('README.md')).flat()
  expect(commands.length).toBeGreaterThanOrEqual(7)
  expect(commands[0]?.output).not.toEqual([])
})
