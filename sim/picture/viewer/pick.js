import { lineOf, visibleMessages } from './draw-traffic.js'
import { BAR, GUTTER, timeAt, xOf } from './layout.js'

/**
 * What lies under the pointer: a call's bar, a message's line, or a moment on a machine's lane.
 *
 * @typedef {import('./draw.js').Scene} Scene
 * @typedef {import('./draw.js').Selected} Selected
 */

const NEAR_PX = 6

/**
 * @param {Scene} scene
 * @param {number} x
 * @param {number} y
 * @returns {Selected | undefined}
 */
export function pick(scene, x, y) {
  if (x < GUTTER) return undefined
  const { view, layout, model } = scene
  const lane = layout.lanes.find((each) => y >= each.y - 2 && y <= each.y + each.height + 2)
  if (lane !== undefined) {
    const call = lane.isNode ? undefined : callAt(scene, lane, x, y)
    return (
      call ?? {
        type: 'moment',
        host: lane.host,
        at: Math.min(model.picture.endUs, Math.round(timeAt(view, x))),
      }
    )
  }
  return messageAt(scene, x, y)
}

/**
 * @param {Scene} scene
 * @param {import('./layout.js').Lane} lane
 * @param {number} x
 * @param {number} y
 * @returns {Selected | undefined}
 */
function callAt({ model, view, isShownCall }, lane, x, y) {
  const row = Math.floor((y - lane.y - 3) / (BAR + 1))
  for (const bar of model.bars.get(lane.host) ?? []) {
    const [from, to] = bar.call
    const end = to === -1 ? model.picture.endUs : to
    if (bar.row !== row || !isShownCall(bar.call)) continue
    if (x >= xOf(view, from) - 2 && x <= Math.max(xOf(view, end), xOf(view, from) + 3) + 1)
      return { type: 'call', call: bar.call }
  }
  return undefined
}

/**
 * @param {Scene} scene
 * @param {number} x
 * @param {number} y
 * @returns {Selected | undefined}
 */
function messageAt(scene, x, y) {
  /** @type {Selected | undefined} */
  let best
  let nearest = NEAR_PX
  for (const message of visibleMessages(scene)) {
    const line = lineOf(scene.view, scene.layout, message, scene.model.picture.endUs)
    if (line === undefined) continue
    const distance = distanceTo(line, x, y)
    if (distance >= nearest) continue
    nearest = distance
    best = { type: 'message', message }
  }
  return best
}

/**
 * From a point to a piece of a straight line.
 *
 * @param {{ x1: number, y1: number, x2: number, y2: number }} line
 * @param {number} x
 * @param {number} y
 */
function distanceTo({ x1, y1, x2, y2 }, x, y) {
  const length = (x2 - x1) ** 2 + (y2 - y1) ** 2
  const share = length === 0 ? 0 : ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length
  const at = Math.max(0, Math.min(1, share))
  return Math.hypot(x - (x1 + at * (x2 - x1)), y - (y1 + at * (y2 - y1)))
}
