import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** The pages whose examples are held to the code. */
export const pages = [
  'README.md',
  'docs/delivery.md',
  'docs/limits.md',
  'docs/operating.md',
  'docs/simulation.md',
] as const

export function read(path: string): string {
  return readFileSync(`${root}/${path}`, 'utf8')
}

/** The lines of the table rows whose first cell is this, in backticks or not. */
export function rowsOf(page: string, firstCell: string): string[][] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
    .filter(([first]) => first?.replaceAll('`', '') === firstCell)
}

export interface Command {
  readonly line: string
  /** What the page says that it prints, standard error included. */
  readonly output: readonly string[]
}

/** The `$ commands` with their output, of the blocks that are marked as a session. */
export function sessionsOf(page: string): Command[][] {
  const sessions: Command[][] = []
  for (const [, block = ''] of page.matchAll(/<!-- session -->\n```console\n([^]*?)\n```/g)) {
    const commands: { line: string; output: string[] }[] = []
    for (const line of block.split('\n')) {
      if (line.startsWith('$ ')) commands.push({ line: line.slice(2), output: [] })
      else commands.at(-1)?.output.push(line)
    }
    sessions.push(commands)
  }
  return sessions
}
