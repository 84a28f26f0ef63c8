import { logsAt } from './logs.js'
import { clock, DROPPED, OUTCOMES, UNDER_WAY } from './model.js'
import { pastLines } from './past.js'

/**
 * Everything beside the canvas, as elements of the page. Texts are set as text, never as markup: they come from records.
 *
 * @typedef {import('./model.js').Model} Model
 * @typedef {import('./draw.js').Selected} Selected
 * @typedef {import('./past.js').Past} Past
 */

const MOST_PAST_LINES = 80
const MOST_CELLS = 13

/** @param {string} id */
export function element(id) {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`the page has no ${id}`)
  return found
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} text
 */
function made(tag, className, text) {
  const node = document.createElement(tag)
  node.className = className
  node.textContent = text
  return node
}

/** @param {Model} model */
export function fillHeader({ picture, violation }) {
  element('seed').textContent = String(picture.seed)
  element('version').textContent = picture.version
  element('replay').textContent = picture.replay
  element('digest').textContent = picture.digest
  element('about').textContent = picture.title
  element('left-out').textContent = `Not drawn: ${picture.leftOut.join('; ')}.`
  const verdict = element('verdict')
  if (violation === undefined) {
    verdict.className = 'held'
    verdict.replaceChildren(made('strong', '', 'All laws held'))
    return
  }
  verdict.className = 'broken'
  const [said = '', stack = ''] = violation.detail.split(/\n(?= +at )/, 2)
  verdict.replaceChildren(
    made('strong', '', `Broken after ${clock(violation.atUs)}: ${violation.law}`),
    made('span', 'law', violation.text === '' ? '' : `It should hold that ${violation.text}.`),
    made('span', 'detail', said),
  )
  if (stack === '') return
  const more = document.createElement('details')
  more.append(made('summary', '', 'where in the code'), made('pre', '', stack))
  verdict.append(more)
}

/**
 * @param {Model} model
 * @param {(at: number, host: number) => void} go
 */
export function fillStory({ picture, texts }, go) {
  const list = element('story')
  list.replaceChildren(
    ...picture.story.map(([at, host, weight, text]) => {
      const item = document.createElement('li')
      const button = document.createElement('button')
      button.className = `line weight-${weight}`
      button.append(made('time', '', clock(at)), made('span', '', texts[text] ?? ''))
      button.addEventListener('click', () => go(at, host))
      item.append(button)
      return item
    }),
  )
}

/**
 * Marks the line of the story that the cursor has reached.
 *
 * @param {Model} model
 * @param {number} cursor
 */
export function markStory({ picture }, cursor) {
  const items = element('story').children
  let now = -1
  picture.story.forEach(([at], number) => {
    if (at <= cursor) now = number
  })
  for (let at = 0; at < items.length; at++) items[at]?.classList.toggle('now', at === now)
  const item = items[now]
  const list = element('story')
  if (!(item instanceof HTMLElement)) return
  const top = item.offsetTop - list.offsetTop
  const bottom = top + item.offsetHeight
  if (top < list.scrollTop || bottom > list.scrollTop + list.clientHeight)
    list.scrollTop = bottom - list.clientHeight * 0.9
}

/**
 * @param {Model} model
 * @param {Selected | undefined} selected
 * @param {Past | undefined} past
 * @param {(at: number, host: number) => void} go
 */
export function fillSelected(model, selected, past, go) {
  const panel = element('selected')
  if (selected === undefined || past === undefined) {
    panel.replaceChildren(
      made(
        'p',
        'hint',
        'Click a message, a call, or a moment on a lane: here is what it was, and all that can have led to it.',
      ),
    )
    return
  }
  const list = document.createElement('ol')
  list.className = 'lines'
  for (const { at, host, text } of pastLines(model, past, MOST_PAST_LINES)) {
    const item = document.createElement('li')
    const button = document.createElement('button')
    button.className = 'line'
    button.append(made('time', '', clock(at)), made('span', '', text))
    button.addEventListener('click', () => go(at, host))
    item.append(button)
    list.append(item)
  }
  const { messages, until } = past
  panel.replaceChildren(
    made('pre', 'what', selectedText(model, selected)),
    made('h3', '', `Its past: ${messages.size} messages, ${until.size} machines; the newest first`),
    list,
  )
}

/**
 * @param {Model} model
 * @param {Selected} selected
 */
export function selectedText({ picture, texts }, selected) {
  /** @param {number} host */
  const name = (host) => picture.hosts[host]?.name ?? '?'
  switch (selected.type) {
    case 'moment': {
      const near = picture.notes
        .filter(([at, host]) => host === selected.host && at <= selected.at)
        .slice(-5)
        .map(([at, , text]) => `${clock(at)}  ${texts[text]}`)
      return [`${name(selected.host)} at ${clock(selected.at)}`, ...near].join('\n')
    }
    case 'message': {
      const [sent, arrived, from, to, , text] = selected.message
      const end =
        arrived === DROPPED
          ? 'lost: it never arrived'
          : arrived === UNDER_WAY
            ? 'under way when the run ended'
            : `arrived ${clock(arrived)}, after ${((arrived - sent) / 1000).toFixed(3)} ms`
      return `${name(from)} to ${name(to)}\nsent ${clock(sent)}, ${end}\n${texts[text]}`
    }
    case 'call': {
      const [from, to, host, outcome, text] = selected.call
      const end = to === -1 ? 'open when the run ended' : `${OUTCOMES[outcome]} ${clock(to)}`
      return `${name(host)} calls\nbegan ${clock(from)}, ${end}\n${texts[text]}`
    }
  }
}

/**
 * @param {Model} model
 * @param {number} group
 * @param {number} cursor
 */
export function fillLogs(model, group, cursor) {
  const { logs, committed } = logsAt(model, group, cursor)
  const { hosts } = model.picture
  const last = Math.max(0, ...logs.map(({ entries }) => entries.at(-1)?.index ?? 0))
  const first = Math.max(1, last - MOST_CELLS + 1)
  const name = model.names.get(group) ?? `group ${group}`
  element('logs-title').textContent =
    `On the disks at the cursor: terms of ${name}'s entries; framed: committed`
  const rows = logs.map(({ host, entries, term, vote, commit }) => {
    const row = document.createElement('tr')
    row.append(made('th', '', hosts[host]?.name ?? ''))
    const byIndex = new Map(entries.map((entry) => [entry.index, entry]))
    for (let index = first; index <= last; index++) {
      const entry = byIndex.get(index)
      const cell = made(
        'td',
        entry === undefined ? 'none' : `entry term-${entry.term % 6}`,
        entry ? `${entry.term}` : '',
      )
      if (index <= committed) cell.classList.add('committed')
      if (entry !== undefined) {
        const records = entry.to > entry.from ? `offsets ${entry.from} to ${entry.to - 1}` : 'no records'
        cell.title = `entry ${index}, term ${entry.term}, ${records}, digest …${entry.digest.toString(16)}`
        if (differs(logs, index, entry.digest)) cell.classList.add('differs')
      }
      row.append(cell)
    }
    const voted = vote === -1 ? 'no vote' : `voted ${hosts[vote]?.name}`
    const state = document.createElement('tr')
    const words = made('td', 'state', `term ${term}, ${voted}, knows ${commit} as committed`)
    words.setAttribute('colspan', String(MOST_CELLS))
    state.append(made('td', '', ''), words)
    return [row, state]
  })
  const head = document.createElement('tr')
  head.append(made('th', '', ''))
  for (let index = first; index <= last; index++) head.append(made('th', 'index', String(index)))
  element('logs').replaceChildren(head, ...rows.flat())
}

/**
 * Whether another node has another entry at this index.
 *
 * @param {import('./logs.js').Log[]} logs
 * @param {number} index
 * @param {number} digest
 */
function differs(logs, index, digest) {
  return logs.some(({ entries }) => entries.some((entry) => entry.index === index && entry.digest !== digest))
}
