import { InvalidArgumentError } from 'commander'

const amountUnits: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/** "500MB", "5GB" or "4GiB" in bytes. */
export function parseAmount(text: string): number {
  const [, amount, unit = ''] = /^(\d{1,6}) ?([MG]i?B)$/.exec(text) ?? []
  const bytes = Number(amount) * (amountUnits[unit] ?? Number.NaN)
  if (bytes > 0) return bytes
  throw new InvalidArgumentError('It has to be an amount as 500MB, 5GB or 4GiB.')
}
