import { styleText } from 'node:util'
import type { Output } from './context.ts'

export type Style = Parameters<typeof styleText>[0]

/** Text in a colour or weight where the output shows such. */
export function paint(output: Pick<Output, 'colours'>, style: Style, text: string): string {
  // The decision is the output's: newer versions of Node would look at process.stdout here.
  return output.colours ? styleText(style, text, { validateStream: false }) : text
}

const grouped = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })

/** 1234567 as "1,234,567". */
export function formatCount(count: number): string {
  return grouped.format(count)
}

/** "1 record", "1,234 records". */
export function plural(count: number, singular: string, several = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : several}`
}

const byteUnits = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

export function formatBytes(bytes: number): string {
  let unit = 0
  let amount = bytes
  while (amount >= 1024 && unit < byteUnits.length - 1) {
    amount /= 1024
    unit++
  }
  if (unit === 0) return bytes === 1 ? '1 byte' : `${formatCount(bytes)} bytes`
  return `${amount < 10 ? amount.toFixed(1) : formatCount(amount)} ${byteUnits[unit]}`
}

/** Below a second in ms, then in s with one decimal, from a minute on in minutes and seconds. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** "a", "a and b", "a, b and c". */
export function listing(words: readonly string[], conjunction = 'and'): string {
  if (words.length <= 1) return words.join('')
  return `${words.slice(0, -1).join(', ')} ${conjunction} ${words.at(-1)}`
}

/** Makes text safe to print: what a terminal would obey becomes visible instead. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => {
    switch (character) {
      case '\n':
        return '\\n'
      case '\r':
        return '\\r'
      case '\t':
        return '\\t'
      default:
        return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
    }
  })
}

/** Cuts to a width, with an ellipsis where something is missing. Counts code points. */
export function cut(text: string, width: number): string {
  if (text.length <= width) return text
  const points = Array.from(text)
  return points.length <= width ? text : `${points.slice(0, Math.max(0, width - 1)).join('')}…`
}
