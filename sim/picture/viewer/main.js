import { draw } from './draw.js'
import { GUTTER, layoutOf, timeAt } from './layout.js'
import { firstAt, KINDS, modelOf } from './model.js'
import { drawOverview } from './overview.js'
import { element, fillHeader, fillLogs, fillSelected, fillStory, markStory, selectedText } from './panels.js'
import { pastOf } from './past.js'
import { pick } from './pick.js'

/**
 * The page: what is seen, and what clicks and keys do to it. Everything is drawn anew, at most once a frame.
 *
 * @typedef {import('./draw.js').Selected} Selected
 * @typedef {import('../picture.ts').MessageRow} MessageRow
 */

const SHORTEST_VIEW_US = 20
/** Around a violation: what came before it matters more. */
const BEFORE_US = 1_200_000
const AFTER_US = 150_000

const model = modelOf(JSON.parse(element('picture').textContent))
const { endUs } = model.picture
const canvas = /** @type {HTMLCanvasElement} */ (element('canvas'))
const overview = /** @type {HTMLCanvasElement} */ (element('overview'))
const scrubber = /** @type {HTMLInputElement} */ (element('scrubber'))
const partition = /** @type {HTMLSelectElement} */ (element('partition'))

const state = {
  view: { from: 0, to: endUs, width: 800 },
  cursor: model.violation?.atUs ?? 0,
  group: -1,
  kinds: new Set(['replication', 'election', 'snapshot', 'client']),
  selected: /** @type {Selected | undefined} */ (undefined),
  past: /** @type {import('./past.js').Past | undefined} */ (undefined),
  layout: layoutOf(model, -1),
}

/** @param {MessageRow} message */
function isShown([, , , , kind, , groups]) {
  if (!state.kinds.has(KINDS[kind] ?? '')) return false
  return state.group === -1 || groups.length === 0 || groups.includes(state.group)
}

/** @param {import('../picture.ts').CallRow} call */
function isShownCall([, , , , , groups]) {
  return state.group === -1 || groups.length === 0 || groups.includes(state.group)
}

const scene = () => ({ model, ...state, isShown, isShownCall, colours })

/** Colours come from the page's style, so that they follow light and dark. @param {string} name */
function colours(name) {
  return style.getPropertyValue(`--${name}`).trim() || '#888'
}
let style = getComputedStyle(document.documentElement)

let isDue = false
function redraw() {
  if (isDue) return
  isDue = true
  requestAnimationFrame(() => {
    isDue = false
    paint()
  })
}

function paint() {
  style = getComputedStyle(document.documentElement)
  const { view, layout, cursor, group } = state
  view.width = element('stage').clientWidth
  const context = fitted(canvas, view.width, Math.max(layout.height + 18, element('stage').clientHeight))
  draw(context, {
    ...scene(),
    layout: { ...layout, height: Math.max(layout.height + 18, element('stage').clientHeight) },
  })
  drawOverview(fitted(overview, overview.clientWidth, 44), { ...scene(), width: overview.clientWidth })
  scrubber.value = String(cursor)
  scrubber.setAttribute('aria-valuetext', `${(cursor / 1000).toFixed(3)} ms`)
  fillLogs(model, group === -1 ? logGroup() : group, cursor)
  markStory(model, cursor)
}

/** Which log is shown while all partitions are: that of the violation, or of what is selected. */
function logGroup() {
  const { selected } = state
  if (selected?.type === 'message' && selected.message[6][0] !== undefined) return selected.message[6][0]
  if (selected?.type === 'call' && selected.call[5][0] !== undefined) return selected.call[5][0]
  return groupOfViolation() ?? model.groups.find(({ id }) => id !== 0)?.id ?? 0
}

/** The partition that a violation's words name, as "group 12" or "orders/3" or "3/17". */
function groupOfViolation() {
  const detail = model.violation?.detail ?? ''
  const id = /\bgroup (\d+)/.exec(detail)?.[1]
  if (id !== undefined) return model.names.has(Number(id)) ? Number(id) : undefined
  const number = /\bpartition (\d+)/.exec(detail)?.[1] ?? /\b(\d+)\/\d+/.exec(detail)?.[1]
  return number === undefined ? undefined : model.groups.find(({ name }) => name.endsWith(`/${number}`))?.id
}

/**
 * @param {HTMLCanvasElement} target
 * @param {number} width
 * @param {number} height
 */
function fitted(target, width, height) {
  const scale = window.devicePixelRatio || 1
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)]
  if (target.width !== wide || target.height !== high) {
    target.width = wide
    target.height = high
    target.style.height = `${height}px`
  }
  const context = target.getContext('2d')
  if (context === null) throw new Error('this browser has no canvas')
  context.setTransform(scale, 0, 0, scale, 0, 0)
  return context
}

// -- moving about ------------------------------------------------------------------------------------------------

/** @param {number} from @param {number} to */
function show(from, to) {
  const long = Math.min(Math.max(to - from, SHORTEST_VIEW_US), endUs * 1.04)
  const begin = Math.min(Math.max(from, -endUs * 0.02), endUs * 1.02 - long)
  state.view.from = begin
  state.view.to = begin + long
  redraw()
}

/** @param {number} times @param {number} around */
function zoom(times, around) {
  const { from, to } = state.view
  show(around - (around - from) * times, around + (to - around) * times)
}

/** @param {number} at */
function moveCursor(at) {
  state.cursor = Math.min(Math.max(0, Math.round(at)), endUs)
  const { from, to } = state.view
  if (state.cursor < from || state.cursor > to) {
    const half = (to - from) / 2
    show(state.cursor - half, state.cursor + half)
  }
  redraw()
}

function toViolation() {
  if (model.violation === undefined) return
  const { atUs } = model.violation
  state.cursor = atUs
  show(atUs - BEFORE_US, atUs + AFTER_US)
}

/** To the next thing that happens, or the one before. @param {1 | -1} by */
function step(by) {
  const times = happenings()
  const at = firstAt(times, state.cursor + (by === 1 ? 1 : 0), (time) => time)
  const next = times[by === 1 ? at : at - 1]
  if (next !== undefined) moveCursor(next)
}

let happeningsOf = { key: '', times: /** @type {number[]} */ ([]) }

/** The times of all that is shown. */
function happenings() {
  const key = `${state.group} ${[...state.kinds].join()}`
  if (happeningsOf.key === key) return happeningsOf.times
  const { messages, roles, lives, faults, story } = model.picture
  const times = messages
    .filter(isShown)
    .flatMap(([sent, arrived]) => (arrived >= 0 ? [sent, arrived] : [sent]))
  for (const [at] of [...roles, ...lives, ...faults, ...story]) times.push(at)
  happeningsOf = { key, times: times.sort((left, right) => left - right) }
  return happeningsOf.times
}

/** @param {Selected | undefined} selected */
function select(selected) {
  state.selected = selected
  state.past = undefined
  if (selected !== undefined) {
    const { host, at } = endOf(selected)
    state.past = pastOf(model, host, at, isShown)
    state.cursor = Math.min(at, endUs)
  }
  fillSelected(model, state.selected, state.past, go)
  redraw()
}

/** Where and when what is selected came to its end: its past is what came before that. @param {Selected} selected */
function endOf(selected) {
  switch (selected.type) {
    case 'moment':
      return { host: selected.host, at: selected.at }
    case 'call':
      return { host: selected.call[2], at: selected.call[1] === -1 ? endUs : selected.call[1] }
    case 'message': {
      const [sent, arrived, from, to] = selected.message
      return arrived >= 0 ? { host: to, at: arrived } : { host: from, at: sent }
    }
  }
}

/** @param {number} at @param {number} host */
function go(at, host) {
  moveCursor(at)
  if (host !== -1) select({ type: 'moment', host, at })
}

// -- what people do ----------------------------------------------------------------------------------------------

/** @param {MouseEvent} event */
const placeOf = (event) => {
  const box = canvas.getBoundingClientRect()
  return { x: event.clientX - box.left, y: event.clientY - box.top }
}

function listenToCanvas() {
  let drag = /** @type {{ x: number, from: number, to: number, moved: boolean } | undefined} */ (undefined)
  canvas.addEventListener(
    'wheel',
    (event) => {
      const { from, to } = state.view
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY)
      event.preventDefault()
      if (sideways || event.shiftKey) {
        const by = ((event.deltaX || event.deltaY) / state.view.width) * (to - from)
        show(from + by, to + by)
      } else
        zoom(
          Math.exp(Math.max(-0.5, Math.min(0.5, event.deltaY / 400))),
          timeAt(state.view, placeOf(event).x),
        )
    },
    { passive: false },
  )
  canvas.addEventListener('pointerdown', (event) => {
    drag = { x: event.clientX, from: state.view.from, to: state.view.to, moved: false }
    canvas.setPointerCapture(event.pointerId)
  })
  canvas.addEventListener('pointermove', (event) => {
    if (drag === undefined) return hover(event)
    if (Math.abs(event.clientX - drag.x) < 4 && !drag.moved) return
    drag.moved = true
    const by = ((drag.x - event.clientX) / (state.view.width - GUTTER)) * (drag.to - drag.from)
    show(drag.from + by, drag.to + by)
  })
  canvas.addEventListener('pointerup', (event) => {
    const wasDrag = drag?.moved === true
    drag = undefined
    if (wasDrag) return
    const { x, y } = placeOf(event)
    const found = pick(scene(), x, y)
    if (found === undefined) moveCursor(timeAt(state.view, x))
    select(found)
  })
  canvas.addEventListener('pointerleave', () => (element('tip').hidden = true))
}

/** @param {PointerEvent} event */
function hover(event) {
  const { x, y } = placeOf(event)
  const found = pick(scene(), x, y)
  const tip = element('tip')
  tip.hidden = found === undefined || found.type === 'moment'
  if (found === undefined || found.type === 'moment') return
  tip.textContent = selectedText(model, found).split('\n').slice(0, 9).join('\n')
  tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - 420)}px`
  tip.style.top = `${Math.min(event.clientY + 14, window.innerHeight - 160)}px`
}

function listenToControls() {
  element('to-violation').addEventListener('click', toViolation)
  element('fit').addEventListener('click', () => show(-endUs * 0.01, endUs * 1.01))
  element('zoom-in').addEventListener('click', () => zoom(0.5, state.cursor))
  element('zoom-out').addEventListener('click', () => zoom(2, state.cursor))
  element('back').addEventListener('click', () => step(-1))
  element('on').addEventListener('click', () => step(1))
  element('clear').addEventListener('click', () => select(undefined))
  scrubber.addEventListener('input', () => moveCursor(Number(scrubber.value)))
  partition.addEventListener('change', () => {
    state.group = Number(partition.value)
    state.layout = layoutOf(model, state.group)
    select(state.selected)
  })
  element('copy').addEventListener('click', () => void navigator.clipboard?.writeText(model.picture.replay))
  element('theme').addEventListener('click', () => {
    const root = document.documentElement
    const isDark = getComputedStyle(root).colorScheme.includes('dark')
    root.dataset['theme'] = isDark ? 'light' : 'dark'
    redraw()
  })
  overview.addEventListener('pointerdown', scrub)
  overview.addEventListener('pointermove', (event) => {
    if (event.buttons !== 0) scrub(event)
  })
  document.addEventListener('keydown', key)
  window.addEventListener('resize', redraw)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw)
}

/** @param {PointerEvent} event */
function scrub(event) {
  const box = overview.getBoundingClientRect()
  const at = ((event.clientX - box.left) / box.width) * endUs
  const half = (state.view.to - state.view.from) / 2
  state.cursor = Math.min(Math.max(0, Math.round(at)), endUs)
  show(at - half, at + half)
}

/** @param {KeyboardEvent} event */
function key(event) {
  const { target } = event
  if (target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey || event.altKey) return
  const isSlider = target === scrubber
  switch (event.key) {
    case 'ArrowLeft':
    case 'ArrowRight':
      if (isSlider) event.preventDefault()
      return step(event.key === 'ArrowRight' ? 1 : -1)
    case '+':
    case '=':
      return zoom(0.5, state.cursor)
    case '-':
      return zoom(2, state.cursor)
    case 'v':
      return toViolation()
    case 'f':
      return show(-endUs * 0.01, endUs * 1.01)
    case 'Escape':
      return select(undefined)
  }
}

function fillControls() {
  const options = [{ id: -1, name: 'all partitions' }, ...model.picture.groups]
  partition.replaceChildren(...options.map(({ id, name }) => new Option(name, String(id))))
  const counts = KINDS.map((_, at) => model.picture.messages.filter((message) => message[4] === at).length)
  element('kinds').replaceChildren(
    ...KINDS.map((kind, at) => {
      const chip = document.createElement('label')
      const box = document.createElement('input')
      box.type = 'checkbox'
      box.checked = state.kinds.has(kind)
      box.dataset['kind'] = kind
      box.addEventListener('change', () => {
        if (box.checked) state.kinds.add(kind)
        else state.kinds.delete(kind)
        select(state.selected)
      })
      const swatch = document.createElement('i')
      swatch.style.background = `var(--${kind})`
      chip.append(box, swatch, `${kind} ${counts[at]}`)
      return chip
    }),
  )
  scrubber.max = String(endUs)
  if (model.violation === undefined) element('to-violation').setAttribute('disabled', '')
}

fillHeader(model)
fillStory(model, go)
fillControls()
fillSelected(model, undefined, undefined, go)
listenToCanvas()
listenToControls()
if (model.violation === undefined) show(-endUs * 0.01, endUs * 1.01)
else toViolation()
