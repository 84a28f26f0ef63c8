/** The JSON of a suite as a file that is added to, so that a part of it can be taken again. */
import { rename, writeFile } from 'node:fs/promises'
import type { CliContext } from '../context.ts'
import { CommandFailure } from '../failure.ts'
import type { SuiteReport } from './suite.ts'

const empty: SuiteReport = { benchmark: 'all', cases: [] }

/** Empty where there is no such file. */
export async function readSuite(
  context: Pick<CliContext, 'readText'>,
  path: string | undefined,
): Promise<SuiteReport> {
  if (path === undefined) return empty
  let text: string
  try {
    text = await context.readText(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return empty
    throw error
  }
  const suite = parseSuite(text)
  if (suite === undefined) {
    throw new CommandFailure(
      `${path} is not the JSON of "flotilla bench all"; name another file with --merge`,
    )
  }
  return suite
}

function parseSuite(text: string): SuiteReport | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  const isSuite =
    typeof parsed === 'object' &&
    parsed !== null &&
    'benchmark' in parsed &&
    parsed.benchmark === 'all' &&
    'cases' in parsed &&
    Array.isArray(parsed.cases)
  return isSuite ? (parsed as SuiteReport) : undefined
}

/** Whole, or not at all: who stops in the middle keeps what was there. */
export async function writeSuite(path: string, suite: SuiteReport): Promise<void> {
  const unfinished = `${path}.unfinished`
  await writeFile(unfinished, `${JSON.stringify(suite, null, 2)}\n`)
  await rename(unfinished, path)
}
