import type { Picture, StoryRow } from './picture.ts'

type Seen = Pick<
  Picture,
  'violations' | 'hosts' | 'groups' | 'faults' | 'lives' | 'roles' | 'calls' | 'texts' | 'notes'
>
/** At, host or -1, weight, text. */
type Told = readonly [number, number, number, string]

/** What the story holds at most; what is nearest to the end counts most. */
const MOST_TOLD = 500
/** A violation's words that name something: a record, an offset, a node. */
const NAMES = /[\w.-]*[-:/][\w.:/-]*\w/g

/** The run in a few lines: what was done to it, what followed, and what the broken law speaks of. */
export function storyOf(seen: Seen): (readonly [StoryRow[0], StoryRow[1], StoryRow[2], string])[] {
  const violation = seen.violations[0]
  const told: Told[] = [
    ...faultsIn(seen),
    ...livesIn(seen),
    ...leadersIn(seen),
    ...(violation === undefined ? [] : callsNamedIn(seen, violation.detail.split('\n', 1)[0]!)),
  ]
  if (violation !== undefined) {
    told.push([violation.atUs, -1, 2, `${violation.law}: ${violation.detail.split('\n', 1)[0]}`])
  }
  const inOrder = told.sort((left, right) => left[0] - right[0])
  return inOrder.slice(-MOST_TOLD)
}

function faultsIn({ faults, texts, hosts }: Seen): Told[] {
  return faults.map(([atUs, forUs, host, kind]) => {
    const where = host === -1 ? '' : ` on ${hosts[host]!.name}`
    const long = forUs === 0 ? '' : `, ${Math.round(forUs / 1000)} ms`
    return [atUs, host, 1, `fault: ${texts[kind]}${where}${long}`]
  })
}

function livesIn({ lives, texts, hosts }: Seen): Told[] {
  const starts = new Set<number>()
  return lives.flatMap(([fromUs, toUs, host, how]): Told[] => {
    const { name } = hosts[host]!
    const isFirst = !starts.has(host)
    starts.add(host)
    const began: Told[] = isFirst ? [] : [[fromUs, host, 0, `${name} starts again`]]
    return how === -1 ? began : [...began, [toUs, host, 1, `${name}: ${texts[how]}`]]
  })
}

function leadersIn({ roles, texts, hosts }: Seen): Told[] {
  return roles
    .filter(([, , , role]) => texts[role] === 'leader')
    .map(([atUs, host, group, , term]) => [
      atUs,
      host,
      0,
      `${hosts[host]!.name} leads §${group}§ in term ${term}`,
    ])
}

/** Calls whose text holds a name out of the violation, as "p1.2:p1k3:7". */
function callsNamedIn({ calls, texts }: Seen, detail: string): Told[] {
  const names = [...new Set(detail.match(NAMES))].filter(
    (name) => /[a-z]/i.test(name) && /\d/.test(name) && name.length > 4,
  )
  if (names.length === 0) return []
  return calls.flatMap(([fromUs, toUs, host, , text]): Told[] => {
    const [asked = '', ended = ''] = texts[text]!.split('\n→ ')
    if (!names.some((name) => asked.includes(name))) return []
    const told: Told[] = [[fromUs, host, 1, asked]]
    if (toUs !== -1) told.push([toUs, host, 1, `→ ${ended === '' ? 'it ended' : ended}`])
    return told
  })
}
