import { BAR, edges, GUTTER, xOf } from './layout.js'
import { DROPPED, firstAt, KINDS, OUTCOMES, UNDER_WAY } from './model.js'

/**
 * Messages and calls.
 *
 * @typedef {import('./draw.js').Scene} Scene
 * @typedef {import('./layout.js').Lane} Lane
 * @typedef {import('./layout.js').Layout} Layout
 * @typedef {import('./layout.js').View} View
 * @typedef {import('../picture.ts').MessageRow} MessageRow
 */

/** A lost message's line ends after this part of its way. */
const LOST_AFTER = 0.45
const LOST_TAIL_PX = 10

/**
 * Where a message's line begins and ends on the canvas; undefined where a lane of it isn't drawn.
 *
 * @param {View} view
 * @param {Layout} layout
 * @param {MessageRow} message
 * @param {number} endUs
 */
export function lineOf(view, layout, [sent, arrived, from, to], endUs) {
  const sender = layout.byHost.get(from)
  const receiver = layout.byHost.get(to)
  if (sender === undefined || receiver === undefined || sender === receiver) return undefined
  const { y1, y2 } = edges(sender, receiver)
  const x1 = xOf(view, sent)
  if (arrived === DROPPED) {
    return { x1, y1, x2: x1 + LOST_TAIL_PX, y2: y1 + (y2 - y1) * LOST_AFTER, isLost: true }
  }
  const x2 = xOf(view, arrived === UNDER_WAY ? endUs : arrived)
  return { x1, y1, x2, y2, isLost: arrived === UNDER_WAY }
}

/**
 * Messages of which a part lies in the view.
 *
 * @param {Scene} scene
 */
export function visibleMessages({ model, view, isShown }) {
  const { messages } = model.picture
  const last = firstAt(messages, view.to + 1, (row) => row[0])
  /** @type {MessageRow[]} */
  const visible = []
  for (let at = 0; at < last; at++) {
    const message = /** @type {MessageRow} */ (messages[at])
    const end = message[1] === DROPPED ? message[0] : message[1] === UNDER_WAY ? view.to : message[1]
    if (end >= view.from && isShown(message)) visible.push(message)
  }
  return visible
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
export function drawMessages(context, scene) {
  const { model, view, layout, colours, past, selected } = scene
  const visible = visibleMessages(scene)
  const isOfPast = (/** @type {MessageRow} */ message) => past === undefined || past.messages.has(message)
  // The more there are, the fainter; a machine's lanes have to stay readable.
  const usual = Math.max(0.08, Math.min(0.85, 350 / visible.length))
  for (const strong of [false, true]) {
    KINDS.forEach((kind, number) => {
      const rows = visible.filter((row) => row[4] === number && isOfPast(row) === strong)
      const weight = kind === 'election' || kind === 'snapshot' ? 2 : 1
      context.strokeStyle = colours(kind)
      context.lineWidth = strong && past !== undefined ? 1.6 : weight === 2 ? 1.4 : 1
      context.globalAlpha = strong ? Math.min(1, usual * weight * (past === undefined ? 1 : 1.5)) : 0.07
      context.beginPath()
      for (const row of rows) {
        const line = lineOf(view, layout, row, model.picture.endUs)
        if (line === undefined) continue
        context.moveTo(line.x1, line.y1)
        context.lineTo(line.x2, line.y2)
      }
      context.stroke()
    })
  }
  context.globalAlpha = 1
  drawLost(context, scene, visible)
  if (visible.length < 400) drawHeads(context, scene, visible)
  if (selected?.type === 'message') {
    const line = lineOf(view, layout, selected.message, model.picture.endUs)
    if (line === undefined) return
    context.strokeStyle = colours('past')
    context.lineWidth = 3
    context.beginPath()
    context.moveTo(line.x1, line.y1)
    context.lineTo(line.x2, line.y2)
    context.stroke()
  }
}

/**
 * Crosses where messages were lost.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {MessageRow[]} visible
 */
function drawLost(context, { model, view, layout, colours, past }, visible) {
  context.strokeStyle = colours('bad')
  context.lineWidth = 1.5
  context.globalAlpha = past === undefined ? 0.9 : 0.25
  context.beginPath()
  for (const row of visible) {
    if (row[1] !== DROPPED) continue
    const line = lineOf(view, layout, row, model.picture.endUs)
    if (line === undefined) continue
    const { x2, y2 } = line
    context.moveTo(x2 - 3, y2 - 3)
    context.lineTo(x2 + 3, y2 + 3)
    context.moveTo(x2 + 3, y2 - 3)
    context.lineTo(x2 - 3, y2 + 3)
  }
  context.stroke()
  context.globalAlpha = 1
}

/**
 * Points where messages arrived.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {MessageRow[]} visible
 */
function drawHeads(context, { model, view, layout, colours, past }, visible) {
  for (const row of visible) {
    const line = lineOf(view, layout, row, model.picture.endUs)
    if (line === undefined || line.isLost || line.x2 < GUTTER) continue
    context.fillStyle = colours(KINDS[row[4]] ?? 'faint')
    context.globalAlpha = past === undefined || past.messages.has(row) ? 1 : 0.1
    context.beginPath()
    context.arc(line.x2, line.y2, 2.2, 0, 7)
    context.fill()
  }
  context.globalAlpha = 1
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Lane} lane
 */
export function drawCalls(context, { model, view, colours, isShownCall, selected }, lane) {
  for (const { call, row } of model.bars.get(lane.host) ?? []) {
    if (!isShownCall(call)) continue
    const [from, to, , outcome] = call
    const end = to === -1 ? model.picture.endUs : to
    if (end < view.from || from > view.to) continue
    const left = Math.max(GUTTER - 2, xOf(view, from))
    const width = Math.max(2, Math.min(view.width + 2, xOf(view, end)) - left)
    const y = lane.y + 3 + row * (BAR + 1)
    context.fillStyle = colours(`call-${(OUTCOMES[outcome] ?? 'open').replace(' ', '-')}`)
    context.fillRect(left, y, width, BAR)
    if (selected?.type === 'call' && selected.call === call) {
      context.strokeStyle = colours('past')
      context.lineWidth = 2
      context.strokeRect(left - 1, y - 1, width + 2, BAR + 2)
    }
  }
}
