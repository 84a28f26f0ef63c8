import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hunt } from './hunt.ts'
import { mutants } from './list.ts'
import { root } from './tree.ts'

/** What became of a mutant when it was last hunted. */
export interface Result {
  /** How many seeds it took. */
  readonly seeds: number
  readonly law: string
}

const path = join(root, 'sim/mutants/results.json')
const BEGIN = '<!-- mutants: written by npm run sim:mutants -- --write -->'
const END = '<!-- end of mutants -->'

export async function readResults(): Promise<ReadonlyMap<string, Result>> {
  return new Map(Object.entries(JSON.parse(await readFile(path, 'utf8')) as Record<string, Result>))
}

/** Keeps what is known of others; what was not noticed is dropped, and so are mutants that are gone. */
export async function writeResults(hunts: readonly Hunt[]): Promise<void> {
  const results = new Map(await readResults())
  for (const { mutant, notice, seeds } of hunts) {
    if (notice === undefined) results.delete(mutant.name)
    else results.set(mutant.name, { seeds, law: notice.law })
  }
  const lines = mutants.flatMap(({ name }) => {
    const found = results.get(name)
    return found === undefined ? [] : [`  ${JSON.stringify(name)}: ${rowOf(found)}`]
  })
  await writeFile(path, `{\n${lines.join(',\n')}\n}\n`)
}

const rowOf = ({ seeds, law }: Result): string => `{ "seeds": ${seeds}, "law": ${JSON.stringify(law)} }`

/** The table for the page; a mutant without a result shows that it has none. */
export function tableText(results: ReadonlyMap<string, Result>): string {
  const rows = mutants.map(({ name, does, source, where }) => {
    const found = results.get(name)
    const seeds = found === undefined ? 'not yet' : String(found.seeds)
    return [name, does, source, where, seeds, found?.law ?? '']
  })
  const all = [['mutant', 'what it does', 'where from', 'simulation', 'seeds', 'noticed by'], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  const text = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  return [text(all[0]!), text(widths.map((width) => '-'.repeat(width))), ...rows.map(text)].join('\n')
}

/** The page with the table in its place. */
export function withTable(page: string, table: string): string {
  const begin = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`docs/simulation.md has no place for the table: ${BEGIN}`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${page.slice(end)}`
}
