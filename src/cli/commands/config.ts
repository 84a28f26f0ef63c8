import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { leafCommand, withOutput, type OutputFlags } from '../options.ts'
import { printAnswer } from '../print.ts'
import { describeSource } from '../server-config.ts'
import { settingNames } from '../server-settings.ts'
import { renderTable } from '../table.ts'
import { readSettings, withServerFlags } from './server-flags.ts'

export function registerConfig(program: Command, context: CliContext): void {
  const config = program.command('config').description("look at a node's settings")

  withOutput(
    withServerFlags(
      leafCommand(
        config,
        'print',
        'check the settings that a server would run with, and say where each comes from',
      ),
    ),
  ).action(async (flags: OutputFlags) => {
    const { provenance } = await readSettings(context, flags)
    const rows = settingNames.map((setting) => ({
      setting,
      value: provenance[setting].value,
      source: describeSource(provenance[setting].source),
    }))
    printAnswer(context, flags.output, {
      table: (output) =>
        renderTable(
          output,
          [{ title: 'SETTING' }, { title: 'VALUE' }, { title: 'SOURCE' }],
          rows.map(({ setting, value, source }) => [setting, showValue(value), source]),
        ),
      json: () => Object.fromEntries(rows.map(({ setting, ...rest }) => [setting, rest])),
      rows: () => rows,
    })
  })
}

function showValue(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) {
    return value
      .map(({ nodeId, address }: { nodeId: string; address: string }) => `${nodeId}=${address}`)
      .join(',')
  }
  const limits = Object.entries(value as object)
  return limits.length === 0
    ? 'as built in'
    : limits.map(([name, amount]) => `${name}=${String(amount)}`).join(',')
}
