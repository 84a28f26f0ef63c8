/**
 * The causal past of a moment on a machine: what it can have known. A message that arrived brings all that its sender knew
 * when it sent it (Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", 1978).
 *
 * @typedef {import('./model.js').Model} Model
 * @typedef {import('../picture.ts').MessageRow} MessageRow
 * @typedef {{ host: number, at: number, until: Map<number, number>, messages: Set<MessageRow> }} Past
 */

/**
 * `isShown` leaves out what the filter hides, so that the past of one partition can be followed alone.
 *
 * @param {Model} model
 * @param {number} host
 * @param {number} at
 * @param {(message: MessageRow) => boolean} isShown
 * @returns {Past}
 */
export function pastOf(model, host, at, isShown) {
  const until = new Map([[host, at]])
  /** @type {Set<MessageRow>} */
  const messages = new Set()
  // From the last arrival back: whatever could still extend a machine's past has been looked at when its turn comes.
  const arrivals = model.picture.messages
    .filter((message) => message[1] >= 0 && message[1] <= at && isShown(message))
    .sort((left, right) => right[1] - left[1])
  for (const message of arrivals) {
    const [sent, arrived, from, to] = message
    const known = until.get(to)
    if (known === undefined || arrived > known) continue
    messages.add(message)
    if (sent > (until.get(from) ?? -1)) until.set(from, sent)
  }
  return { host, at, until, messages }
}

/**
 * The past as lines, from its end: messages that arrived, and what happened on the machines in it.
 *
 * @param {Model} model
 * @param {Past} past
 * @param {number} most
 */
export function pastLines(model, { until, messages }, most) {
  const { hosts, story } = model.picture
  /** @type {{ at: number, host: number, text: string }[]} */
  const lines = []
  for (const [sent, arrived, from, to, , text] of messages) {
    const took = ((arrived - sent) / 1000).toFixed(1)
    const words = model.texts[text]?.split('\n', 1)[0] ?? ''
    lines.push({
      at: arrived,
      host: to,
      text: `${hosts[to]?.name} hears ${hosts[from]?.name}, after ${took} ms: ${words}`,
    })
  }
  for (const [at, host, , text] of story) {
    if (host !== -1 && at <= (until.get(host) ?? -1)) lines.push({ at, host, text: model.texts[text] ?? '' })
  }
  return lines.sort((left, right) => right.at - left.at).slice(0, most)
}
