/**
 * The whole run in a strip: how much happened when, faults, ends of processes, violations, and which part is shown above.
 *
 * @typedef {import('./draw.js').Scene} Scene
 */

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene & { width: number }} scene
 */
export function drawOverview(context, { model, view, cursor, colours, width }) {
  const { endUs, messages, faults, lives, violations } = model.picture
  const height = 44
  /** @param {number} time */
  const at = (time) => (time / endUs) * width
  context.fillStyle = colours('paper')
  context.fillRect(0, 0, width, height)
  const buckets = new Array(Math.max(1, Math.floor(width / 2))).fill(0)
  for (const [sent] of messages) {
    const bucket = Math.min(buckets.length - 1, Math.floor((sent / endUs) * buckets.length))
    buckets[bucket]++
  }
  const most = Math.max(1, ...buckets)
  context.fillStyle = colours('grid-strong')
  buckets.forEach((count, number) => {
    const high = Math.sqrt(count / most) * (height - 14)
    context.fillRect(number * 2, height - high, 2, high)
  })
  context.fillStyle = colours('fault')
  for (const [time, forUs] of faults) context.fillRect(at(time), 2, Math.max(2, at(forUs)), 3)
  context.fillStyle = colours('bad')
  for (const [, to, host, how] of lives) {
    if (how !== -1 && model.picture.hosts[host]?.isNode) context.fillRect(at(to) - 1, 7, 2, 6)
  }
  for (const { atUs } of violations) context.fillRect(at(atUs) - 1, 0, 3, height)
  context.fillStyle = colours('cursor')
  context.fillRect(at(cursor), 0, 1, height)
  context.strokeStyle = colours('past')
  context.lineWidth = 2
  context.strokeRect(at(view.from), 1, Math.max(3, at(view.to) - at(view.from)), height - 2)
}
