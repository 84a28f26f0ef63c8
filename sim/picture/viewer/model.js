/**
 * What the rows of a picture mean: segments of roles, shades of cut ways, names in texts. All in plain data, made once.
 *
 * @typedef {import('../picture.ts').Picture} Picture
 * @typedef {import('../picture.ts').MessageRow} MessageRow
 * @typedef {import('../picture.ts').CallRow} CallRow
 * @typedef {{ from: number, to: number, role: string, term: number }} Segment
 * @typedef {{ from: number, to: number, host: number, out: Set<number>, in: Set<number> }} Shade
 * @typedef {{ from: number, to: number, term: number, leader: number }} Reign
 * @typedef {ReturnType<typeof modelOf>} Model
 */

export const DROPPED = -1
export const UNDER_WAY = -2
export const KINDS = ['replication', 'election', 'heartbeat', 'snapshot', 'client', 'connection']
export const OUTCOMES = ['open', 'answered', 'refused', 'no answer', 'ended']

/** @param {Picture} picture */
export function modelOf(picture) {
  const names = new Map(picture.groups.map(({ id, name }) => [id, name]))
  const texts = picture.texts.map((text) =>
    withNames(text, names).replaceAll(/§(\d+)§/g, (_, id) => names.get(Number(id)) ?? `group ${id}`),
  )
  const violation = picture.violations[0]
  return {
    picture,
    texts,
    names,
    violation: violation && { ...violation, detail: withNames(violation.detail, names) },
    /** Those that people gave a name; others are topics that came and went. */
    groups: picture.groups.filter(({ name }) => !name.startsWith('group ')),
    segments: segmentsOf(picture),
    reigns: reignsOf(picture),
    shades: shadesOf(picture),
    bars: barsOf(picture),
  }
}

/**
 * Checkers speak of groups by their number, people know them by their name.
 *
 * @param {string} text
 * @param {Map<number, string>} names
 */
function withNames(text, names) {
  return text.replaceAll(/\bgroup (\d+)\b/g, (words, id) => {
    const name = names.get(Number(id))
    return name === undefined || name === words ? words : `${words} (${name})`
  })
}

/**
 * By "host/group": which role from when to when.
 *
 * @param {Picture} picture
 */
function segmentsOf({ roles, lives, texts, endUs }) {
  /** @type {Map<string, Segment[]>} */
  const segments = new Map()
  for (const [at, host, group, role, term] of roles) {
    const key = `${host}/${group}`
    const of = segments.get(key) ?? []
    segments.set(key, of)
    const last = of.at(-1)
    if (last !== undefined) last.to = Math.min(last.to, at)
    const life = lives.find(([from, to, who]) => who === host && from <= at && at <= to)
    of.push({ from: at, to: life?.[1] ?? endUs, role: texts[role] ?? '', term })
  }
  return segments
}

/**
 * By group: who led, one after the other.
 *
 * @param {Picture} picture
 */
function reignsOf({ roles, texts, endUs }) {
  /** @type {Map<number, Reign[]>} */
  const reigns = new Map()
  for (const [at, host, group, role, term] of roles) {
    if (texts[role] !== 'leader') continue
    const of = reigns.get(group) ?? []
    reigns.set(group, of)
    const last = of.at(-1)
    if (last !== undefined) last.to = at
    of.push({ from: at, to: endUs, term, leader: host })
  }
  return reigns
}

/**
 * Ways that are cut, put together by host and time: a partition is one shade on each lane, not one for each pair.
 *
 * @param {Picture} picture
 */
function shadesOf({ blocks }) {
  /** @type {Map<string, Shade>} */
  const shades = new Map()
  /** @param {number} from @param {number} to @param {number} host */
  const shade = (from, to, host) => {
    const key = `${from}/${to}/${host}`
    const known = shades.get(key) ?? { from, to, host, out: new Set(), in: new Set() }
    shades.set(key, known)
    return known
  }
  for (const [from, to, sender, receiver] of blocks) {
    shade(from, to, sender).out.add(receiver)
    shade(from, to, receiver).in.add(sender)
  }
  return [...shades.values()]
}

/** So many bars of calls lie above each other at most. */
export const BAR_ROWS = 4

/**
 * By host: calls with a row each, so that those at the same time don't hide one another.
 *
 * @param {Picture} picture
 */
function barsOf({ calls, endUs }) {
  /** @type {Map<number, { call: CallRow, row: number }[]>} */
  const bars = new Map()
  /** @type {Map<number, number[]>} */
  const busyUntil = new Map()
  for (const call of calls) {
    const [from, to, host] = call
    const rows = busyUntil.get(host) ?? Array.from({ length: BAR_ROWS }, () => -1)
    busyUntil.set(host, rows)
    const free = rows.findIndex((until) => until <= from)
    const row = free === -1 ? BAR_ROWS - 1 : free
    rows[row] = Math.max(rows[row] ?? 0, to === -1 ? endUs : to)
    const of = bars.get(host) ?? []
    bars.set(host, of)
    of.push({ call, row })
  }
  return bars
}

/**
 * The first place in sorted rows whose time is at or after this.
 *
 * @template Row
 * @param {readonly Row[]} rows
 * @param {number} time
 * @param {(row: Row) => number} timeOf
 */
export function firstAt(rows, time, timeOf) {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (timeOf(/** @type {Row} */ (rows[middle])) < time) low = middle + 1
    else high = middle
  }
  return low
}

/** @param {number} us */
export function clock(us) {
  const ms = us / 1000
  return `${ms.toLocaleString('en-US', { minimumFractionDigits: 3, maximumFractionDigits: 3 })} ms`
}
