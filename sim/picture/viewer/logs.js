/**
 * Each node's log on its disk at a moment, put together from what reached it.
 *
 * @typedef {import('./model.js').Model} Model
 * @typedef {{ index: number, term: number, digest: number, from: number, to: number }} LogEntry
 * @typedef {{ host: number, entries: LogEntry[], term: number, vote: number, commit: number }} Log
 */

/**
 * @param {Model} model
 * @param {number} group
 * @param {number} at
 * @returns {{ logs: Log[], committed: number }}
 */
export function logsAt(model, group, at) {
  const { hosts, entries, hardStates, commits } = model.picture
  /** @type {Map<number, Map<number, LogEntry>>} */
  const byHost = new Map()
  for (const [time, host, of, index, term, digest, from, to] of entries) {
    if (time > at) break
    if (of !== group) continue
    const log = byHost.get(host) ?? new Map()
    byHost.set(host, log)
    if (term === 0) log.delete(index)
    else log.set(index, { index, term, digest, from, to })
  }
  /** @type {Map<number, { term: number, vote: number, commit: number }>} */
  const states = new Map()
  for (const [time, host, of, term, vote, commit] of hardStates) {
    if (time > at) break
    if (of === group) states.set(host, { term, vote, commit })
  }
  let committed = 0
  for (const [time, of, index] of commits) {
    if (time > at) break
    if (of === group) committed = Math.max(committed, index)
  }
  const logs = hosts.flatMap(({ isNode }, host) => {
    if (!isNode) return []
    const log = [...(byHost.get(host)?.values() ?? [])].sort((left, right) => left.index - right.index)
    return [{ host, entries: log, ...(states.get(host) ?? { term: 0, vote: -1, commit: 0 }) }]
  })
  return { logs, committed }
}
