import { drawCalls, drawMessages } from './draw-traffic.js'
import { AXIS, GUTTER, xOf } from './layout.js'
import { clock } from './model.js'

/**
 * Draws everything anew: machines first, what travels between them over it, marks of time on top.
 *
 * @typedef {import('./model.js').Model} Model
 * @typedef {import('./layout.js').Lane} Lane
 * @typedef {import('./layout.js').Layout} Layout
 * @typedef {import('./layout.js').View} View
 * @typedef {import('./past.js').Past} Past
 * @typedef {import('../picture.ts').MessageRow} MessageRow
 * @typedef {import('../picture.ts').CallRow} CallRow
 * @typedef {{ type: 'message', message: MessageRow } | { type: 'call', call: CallRow } | { type: 'moment', host: number, at: number }} Selected
 * @typedef {{
 *   model: Model, layout: Layout, view: View, colours: (name: string) => string, group: number, cursor: number,
 *   isShown: (message: MessageRow) => boolean, isShownCall: (call: CallRow) => boolean, past: Past | undefined, selected: Selected | undefined
 * }} Scene
 */

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
export function draw(context, scene) {
  const { view, layout, colours } = scene
  context.fillStyle = colours('paper')
  context.fillRect(0, 0, view.width, layout.height)
  context.save()
  context.beginPath()
  context.rect(GUTTER, 0, view.width - GUTTER, layout.height)
  context.clip()
  if (scene.group !== -1) drawReigns(context, scene)
  drawGrid(context, scene)
  for (const lane of layout.lanes) drawAlive(context, scene, lane)
  drawShades(context, scene, 0.5)
  for (const lane of layout.lanes) if (lane.isNode) drawNode(context, scene, lane)
  drawShades(context, scene, 0.12)
  drawFaults(context, scene)
  drawCommits(context, scene)
  drawMessages(context, scene)
  for (const lane of layout.lanes) if (!lane.isNode) drawCalls(context, scene, lane)
  drawEnd(context, scene)
  if (scene.past !== undefined) drawHorizon(context, scene, scene.past)
  drawViolations(context, scene)
  drawCursor(context, scene)
  context.restore()
  drawNames(context, scene)
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawGrid(context, { view, layout, colours }) {
  const wide = view.width - GUTTER
  const stepUs = niceStep((view.to - view.from) / Math.max(1, wide / 120))
  context.font = '11px system-ui, sans-serif'
  context.textBaseline = 'middle'
  context.textAlign = 'left'
  for (let time = Math.ceil(view.from / stepUs) * stepUs; time <= view.to; time += stepUs) {
    const x = Math.round(xOf(view, time)) + 0.5
    context.strokeStyle = colours('grid')
    context.lineWidth = 1
    context.beginPath()
    context.moveTo(x, 16)
    context.lineTo(x, layout.height)
    context.stroke()
    context.fillStyle = colours('faint')
    context.fillText(tickText(time, stepUs), x + 3, 8)
  }
}

/** @param {number} us */
function niceStep(us) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, us)))
  return ([1, 2, 5].find((times) => times * power >= us) ?? 10) * power
}

/** @param {number} us @param {number} stepUs */
function tickText(us, stepUs) {
  if (stepUs >= 1_000_000) return `${(us / 1_000_000).toFixed(0)} s`
  const digits = stepUs >= 100_000 ? 1 : stepUs >= 10_000 ? 2 : stepUs >= 1000 ? 3 : 6
  return `${(us / 1_000_000).toFixed(digits)} s`
}

/**
 * Bands of terms: only for one partition, for each has terms of its own.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawReigns(context, { model, view, layout, colours, group }) {
  const reigns = model.reigns.get(group) ?? []
  reigns.forEach(({ from, to, term, leader }, at) => {
    if (to < view.from || from > view.to) return
    const [left, right] = [Math.max(GUTTER, xOf(view, from)), Math.min(view.width, xOf(view, to))]
    context.fillStyle = colours(at % 2 === 0 ? 'band-even' : 'band-odd')
    context.fillRect(left, 16, right - left, layout.nodesEnd - 10)
    const text = `term ${term}: ${model.picture.hosts[leader]?.name} leads`
    label(context, text, left + 4, 24, right - left - 6, colours('soft'))
  })
}

/**
 * Text where there is room for it.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {string} text @param {number} x @param {number} y @param {number} room @param {string} colour
 */
function label(context, text, x, y, room, colour) {
  if (room < 20) return
  context.font = '11px system-ui, sans-serif'
  context.textBaseline = 'middle'
  context.textAlign = 'left'
  if (context.measureText(text).width > room) return
  context.fillStyle = colour
  context.fillText(text, x, y)
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Lane} lane
 */
function drawNode(context, { model, view, colours }, lane) {
  const { lives, pauses, texts } = model.picture
  let down = { from: 0, how: '' }
  for (const [from, to, host, how] of lives) {
    if (host !== lane.host) continue
    downText(context, { view, colours }, lane, down.from, from, down.how)
    down = { from: to, how: how === -1 ? '' : (texts[how] ?? '') }
  }
  if (down.how !== '') downText(context, { view, colours }, lane, down.from, view.to, down.how)
  for (const row of lane.rows) drawRoles(context, { model, view, colours }, lane, row)
  for (const [from, to, host] of pauses) {
    if (host !== lane.host || to < view.from || from > view.to) continue
    const left = xOf(view, from)
    hatch(context, left, lane.y, xOf(view, to) - left, lane.height, colours('pause'))
    label(context, 'stands still', left + 4, lane.y + 8, xOf(view, to) - left - 6, colours('pause'))
  }
  context.strokeStyle = colours('line')
  context.lineWidth = 1
  context.strokeRect(GUTTER - 1, lane.y + 0.5, view.width - GUTTER + 2, lane.height)
}

/**
 * Why a machine is down, with a cross where it went.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Pick<Scene, 'view' | 'colours'>} scene
 * @param {Lane} lane
 * @param {number} from @param {number} to @param {string} how
 */
function downText(context, { view, colours }, lane, from, to, how) {
  if (how === '' || to < view.from || from > view.to) return
  const x = xOf(view, from)
  const middle = lane.y + lane.height / 2
  context.strokeStyle = colours('bad')
  context.lineWidth = 2.5
  context.beginPath()
  context.moveTo(x - 5, middle - 5)
  context.lineTo(x + 5, middle + 5)
  context.moveTo(x + 5, middle - 5)
  context.lineTo(x - 5, middle + 5)
  context.stroke()
  label(
    context,
    how,
    Math.max(GUTTER, x) + 9,
    middle,
    xOf(view, to) - Math.max(GUTTER, x) - 9,
    colours('bad'),
  )
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Pick<Scene, 'model' | 'view' | 'colours'>} scene
 * @param {Lane} lane
 * @param {import('./layout.js').GroupRow} row
 */
function drawRoles(context, { model, view, colours }, lane, row) {
  for (const { from, to, role, term } of model.segments.get(`${lane.host}/${row.group}`) ?? []) {
    if (to < view.from || from > view.to) continue
    const [left, right] = [Math.max(GUTTER, xOf(view, from)), Math.min(view.width, xOf(view, to))]
    context.fillStyle = colours(roleColour(role))
    context.fillRect(left, row.y, Math.max(1, right - left), row.height)
    const isLeader = role === 'leader'
    const does = isLeader ? 'leads' : /candidate/i.test(role) ? 'stands' : 'follows'
    const text = `${does}, term ${term}`
    if (row.height >= 11 || isLeader) {
      const colour = colours(isLeader ? 'on-leader' : 'soft')
      label(context, text, left + 3, row.y + row.height / 2 + 0.5, right - left - 4, colour)
    }
  }
}

/**
 * Nothing is known of what would have come.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawEnd(context, { model, view, layout, colours }) {
  const x = Math.max(GUTTER, xOf(view, model.picture.endUs) + 1)
  if (x >= view.width) return
  context.fillStyle = colours('panel')
  context.fillRect(x, 0, view.width - x, layout.height)
  label(context, 'the run ends', x + 6, layout.height / 2, view.width - x - 6, colours('faint'))
}

/** @param {string} role */
function roleColour(role) {
  if (role === 'leader') return 'leader'
  return /candidate/i.test(role) ? 'candidate' : 'follower'
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x @param {number} y @param {number} width @param {number} height @param {string} colour
 */
function hatch(context, x, y, width, height, colour) {
  context.save()
  context.beginPath()
  context.rect(x, y, width, height)
  context.clip()
  context.strokeStyle = colour
  context.globalAlpha = 0.55
  context.lineWidth = 2
  context.beginPath()
  const left = Math.max(x - height, GUTTER - height)
  const right = Math.min(x + width, context.canvas.width)
  for (let at = left - (left % 8); at < right; at += 8) {
    context.moveTo(at, y + height)
    context.lineTo(at + height, y)
  }
  context.stroke()
  context.restore()
}

/**
 * Where a process lives; where none does, the lane is dark. A client's is there from its first call on.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Lane} lane
 */
function drawAlive(context, { model, view, colours }, lane) {
  const lives = model.picture.lives.filter(([, , host]) => host === lane.host)
  context.fillStyle = colours(lives.length === 0 ? 'alive' : 'down')
  context.fillRect(GUTTER, lane.y, view.width - GUTTER, lane.height)
  context.fillStyle = colours('alive')
  for (const [from, to] of lives) {
    const [left, right] = [Math.max(GUTTER, xOf(view, from)), Math.min(view.width, xOf(view, to))]
    if (right >= GUTTER && left <= view.width) context.fillRect(left, lane.y, right - left, lane.height)
  }
}

/**
 * Cut ways: a shade on the lane, the darker the more of the others can't be reached.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {number} strength
 */
function drawShades(context, { model, view, layout, colours }, strength) {
  /** @type {Map<number, number>} */
  const taken = new Map()
  const others = model.picture.hosts.filter(({ isNode }) => isNode).length
  for (const { from, to, host, out, in: into } of model.shades) {
    const lane = layout.byHost.get(host)
    if (lane === undefined || to < view.from || from > view.to) continue
    const nodes = [...new Set([...out, ...into])].filter((at) => model.picture.hosts[at]?.isNode)
    if (nodes.length === 0) continue
    const left = Math.max(GUTTER, xOf(view, from))
    const right = Math.min(view.width, xOf(view, to))
    const share = Math.min(1, nodes.length / Math.max(1, others - (lane.isNode ? 1 : 0)))
    context.globalAlpha = strength * (0.4 + 0.6 * share)
    context.fillStyle = colours('cut')
    context.fillRect(left, lane.y - 7, Math.max(2, right - left), lane.height + 14)
    context.globalAlpha = 1
    if (!lane.isNode || left < (taken.get(host) ?? 0)) continue
    taken.set(host, right)
    label(context, shadeText(model, out, into), left + 4, lane.y + 7, right - left - 6, colours('cut-text'))
  }
}

/** @param {Model} model @param {Set<number>} out @param {Set<number>} into */
function shadeText({ picture }, out, into) {
  /** @param {Iterable<number>} hosts */
  const names = (hosts) =>
    [...hosts]
      .filter((at) => picture.hosts[at]?.isNode)
      .map((at) => picture.hosts[at]?.name)
      .join(' ')
  const [sends, hears] = [names(out), names(into)]
  if (sends === hears) return `cut off from ${sends}`
  return [sends === '' ? '' : `can't send to ${sends}`, hears === '' ? '' : `can't hear ${hears}`]
    .filter((text) => text !== '')
    .join(', ')
}

/** Faults that show on the lanes by what they do; the others get a strip. */
const SHOWN_OTHERWISE = /^(partition|one-way|isolate|clog|swizzle|client-cut|pause|crash|power|restart)/

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawFaults(context, { model, view, layout, colours }) {
  /** @type {Map<number, number>} */
  const taken = new Map()
  for (const [at, forUs, host, kind] of model.picture.faults) {
    if (at + forUs < view.from || at > view.to) continue
    const name = model.texts[kind] ?? ''
    const x = xOf(view, at)
    context.fillStyle = colours('fault')
    context.beginPath()
    context.moveTo(x - 4, 16)
    context.lineTo(x + 4, 16)
    context.lineTo(x, 23)
    context.fill()
    const lane = layout.byHost.get(host)
    if (lane === undefined || SHOWN_OTHERWISE.test(name)) continue
    const width = Math.max(3, xOf(view, at + forUs) - x)
    context.globalAlpha = 0.75
    context.fillRect(x, lane.y + lane.height + 1, width, 4)
    context.globalAlpha = 1
    const left = Math.max(GUTTER, x)
    if (left < (taken.get(host) ?? 0)) continue
    label(context, name, left + 2, lane.y + lane.height + 12, 100, colours('fault'))
    taken.set(host, left + 70)
  }
}

/**
 * From the moment at which a majority has an entry on stable storage.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawCommits(context, { model, view, layout, colours, group }) {
  const seen = model.picture.commits.filter(
    ([at, of]) => at >= view.from && at <= view.to && (group === -1 || of === group),
  )
  context.strokeStyle = colours('commit')
  context.globalAlpha = Math.max(0.12, Math.min(0.8, 60 / seen.length))
  context.lineWidth = 1
  context.beginPath()
  for (const [at, of] of seen) {
    const x = Math.round(xOf(view, at)) + 0.5
    if (group !== -1) {
      context.moveTo(x, AXIS)
      context.lineTo(x, layout.nodesEnd)
      continue
    }
    for (const lane of layout.lanes) {
      const row = lane.rows.find((each) => each.group === of)
      // A node that never had a role there holds no replica.
      if (row === undefined || !model.segments.has(`${lane.host}/${of}`)) continue
      context.moveTo(x, row.y)
      context.lineTo(x, row.y + row.height)
    }
  }
  context.stroke()
  context.globalAlpha = 1
  if (group === -1) return
  let free = 0
  for (const [at, , index] of seen) {
    const x = xOf(view, at)
    if (x < free) continue
    label(context, `${index}`, x + 3, layout.nodesEnd + 7, 60, colours('commit'))
    free = x + 34
  }
}

/**
 * Up to where each machine's history can have had a part in what was clicked.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Past} past
 */
function drawHorizon(context, { view, layout, colours }, past) {
  for (const lane of layout.lanes) {
    const until = past.until.get(lane.host)
    context.fillStyle = colours('past')
    if (until !== undefined) {
      const right = Math.min(view.width, xOf(view, until))
      context.fillRect(GUTTER, lane.y + lane.height, Math.max(0, right - GUTTER), 3)
      context.fillRect(right - 1, lane.y, 2, lane.height + 3)
    }
    const from = until === undefined ? GUTTER : Math.max(GUTTER, xOf(view, until))
    context.fillStyle = colours('paper')
    context.globalAlpha = 0.55
    context.fillRect(from, lane.y, view.width - from, lane.height)
    context.globalAlpha = 1
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawViolations(context, { model, view, layout, colours }) {
  for (const { atUs, law } of model.picture.violations) {
    const x = xOf(view, atUs)
    context.strokeStyle = colours('bad')
    context.lineWidth = 2
    context.beginPath()
    context.moveTo(x, 14)
    context.lineTo(x, layout.height)
    context.stroke()
    context.font = 'bold 12px system-ui, sans-serif'
    const wide = context.measureText(law).width + 12
    const left = Math.min(x, view.width - wide)
    context.fillStyle = colours('bad')
    context.fillRect(left, 0, wide, 17)
    context.fillStyle = colours('on-bad')
    context.textBaseline = 'middle'
    context.fillText(law, left + 6, 9)
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawCursor(context, { view, layout, colours, cursor }) {
  const x = xOf(view, cursor)
  context.strokeStyle = colours('cursor')
  context.lineWidth = 1
  context.setLineDash([4, 3])
  context.beginPath()
  context.moveTo(x, 14)
  context.lineTo(x, layout.height)
  context.stroke()
  context.setLineDash([])
  const text = clock(cursor)
  context.font = '11px system-ui, sans-serif'
  const wide = context.measureText(text).width + 10
  const left = Math.min(Math.max(GUTTER, x - wide / 2), view.width - wide)
  context.fillStyle = colours('cursor')
  context.fillRect(left, layout.height - 16, wide, 16)
  context.fillStyle = colours('paper')
  context.textBaseline = 'middle'
  context.textAlign = 'left'
  context.fillText(text, left + 5, layout.height - 8)
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawNames(context, { layout, colours }) {
  context.fillStyle = colours('panel')
  context.fillRect(0, 0, GUTTER, layout.height)
  context.strokeStyle = colours('line')
  context.lineWidth = 1
  context.beginPath()
  context.moveTo(GUTTER - 0.5, 0)
  context.lineTo(GUTTER - 0.5, layout.height)
  context.stroke()
  context.textBaseline = 'middle'
  context.textAlign = 'left'
  for (const lane of layout.lanes) {
    context.fillStyle = colours('ink')
    context.font = lane.isNode ? 'bold 13px system-ui, sans-serif' : '12px system-ui, sans-serif'
    context.fillText(lane.name, 8, lane.y + (lane.isNode ? 8 : lane.height / 2))
    context.font = '11px system-ui, sans-serif'
    context.fillStyle = colours('faint')
    for (const row of lane.rows) if (row.height >= 9) context.fillText(row.name, 20, row.y + row.height / 2)
  }
}
