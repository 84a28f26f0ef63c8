import { BAR_ROWS } from './model.js'

/**
 * Where things are: lanes from top to bottom, time from left to right.
 *
 * @typedef {import('./model.js').Model} Model
 * @typedef {{ group: number, name: string, y: number, height: number }} GroupRow
 * @typedef {{ host: number, name: string, isNode: boolean, y: number, height: number, rows: GroupRow[] }} Lane
 * @typedef {{ lanes: Lane[], byHost: Map<number, Lane>, height: number, nodesEnd: number }} Layout
 */

export const GUTTER = 132
export const AXIS = 30
const HEAD = 15
const NODE_GAP = 46
const CLIENT_GAP = 14
export const BAR = 7

/**
 * @param {Model} model
 * @param {number} group -1: all
 * @returns {Layout}
 */
export function layoutOf(model, group) {
  const groups = model.groups.filter(({ id }) => group === -1 || id === group)
  const rowHeight = group === -1 ? Math.max(8, Math.min(16, Math.round(70 / groups.length))) : 30
  /** @type {Lane[]} */
  const lanes = []
  let y = AXIS + 8
  let nodesEnd = y
  const hosts = model.picture.hosts.map(({ name, isNode }, host) => ({ name, isNode, host }))
  for (const { name, isNode, host } of hosts.filter((each) => each.isNode)) {
    const rows = groups.map(({ id, name: title }, at) => ({
      group: id,
      name: title,
      y: y + HEAD + at * rowHeight,
      height: rowHeight - 1,
    }))
    const height = HEAD + groups.length * rowHeight
    lanes.push({ host, name, isNode, y, height, rows })
    nodesEnd = y + height
    y += height + NODE_GAP
  }
  for (const { name, isNode, host } of hosts.filter((each) => !each.isNode)) {
    const bars = model.bars.get(host) ?? []
    const used = bars.reduce((most, { row }) => Math.max(most, row + 1), 1)
    const height = 6 + Math.min(used, BAR_ROWS) * (BAR + 1)
    lanes.push({ host, name, isNode, y, height, rows: [] })
    y += height + CLIENT_GAP
  }
  return { lanes, byHost: new Map(lanes.map((lane) => [lane.host, lane])), height: y + 4, nodesEnd }
}

/**
 * @typedef {{ from: number, to: number, width: number }} View
 * @param {View} view
 * @param {number} time
 */
export function xOf({ from, to, width }, time) {
  return GUTTER + ((time - from) / (to - from)) * (width - GUTTER)
}

/**
 * @param {View} view
 * @param {number} x
 */
export function timeAt({ from, to, width }, x) {
  return from + ((x - GUTTER) / (width - GUTTER)) * (to - from)
}

/**
 * The ends of a message's line: between the edges of the two lanes that face each other.
 *
 * @param {Lane} sender
 * @param {Lane} receiver
 */
export function edges(sender, receiver) {
  return sender.y < receiver.y
    ? { y1: sender.y + sender.height, y2: receiver.y }
    : { y1: sender.y, y2: receiver.y + receiver.height }
}
