import type { CliContext, Output } from './context.ts'
import type { OutputFormat } from './options.ts'

/** The three forms of one answer; only the one that is asked for is made. */
export interface Answer {
  table(output: Output): string
  json(): unknown
  rows(): readonly unknown[]
}

export function printAnswer(context: Pick<CliContext, 'stdout'>, format: OutputFormat, answer: Answer): void {
  const { stdout } = context
  switch (format) {
    case 'table':
      stdout.write(answer.table(stdout))
      return
    case 'json':
      stdout.write(`${JSON.stringify(answer.json(), null, 2)}\n`)
      return
    case 'ndjson':
      for (const row of answer.rows()) stdout.write(`${JSON.stringify(row)}\n`)
      return
  }
}
