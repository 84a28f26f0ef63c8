import type { ReadFrom } from '../client/types.ts'

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const
type Unit = keyof typeof unitMs

/** "500ms", "90s", "1h30m" in milliseconds; undefined where it is no such thing. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
    total += Number(amount) * unitMs[unit as Unit]
  }
  return total
}

const isoTime = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/

/** An ISO 8601 time; a date alone is its start in UTC, a time without a zone is local. */
export function parseTime(text: string): Date | undefined {
  if (!isoTime.test(text)) return undefined
  const time = new Date(text.replace(' ', 'T'))
  if (Number.isNaN(time.getTime())) return undefined
  // V8 takes 31 February for 3 March; a calendar doesn't.
  const [year, month, day] = text.slice(0, 10).split('-').map(Number)
  const calendar = new Date(Date.UTC(year ?? 0, (month ?? 0) - 1, day))
  return calendar.getUTCDate() === day ? time : undefined
}

/** `--from`: beginning, end, an offset, an ISO 8601 time, or how long ago ("-2h"). */
export function parseReadFrom(text: string, nowMs: number): ReadFrom | undefined {
  if (text === 'beginning' || text === 'end') return text
  if (/^\d+$/.test(text)) {
    const offset = Number(text)
    return Number.isSafeInteger(offset) ? { offset } : undefined
  }
  if (text.startsWith('-')) {
    const ago = parseDuration(text.slice(1))
    return ago === undefined || ago > nowMs ? undefined : { time: new Date(nowMs - ago) }
  }
  const time = parseTime(text)
  return time === undefined ? undefined : { time }
}
