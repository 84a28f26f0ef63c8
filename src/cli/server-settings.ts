/** The settings of `flotilla server`: their names in each place, and how text becomes a value. Pure. */
import type { ClusterMember, ServerLimits } from '../broker/config.ts'
import { addressFault } from './options.ts'
import { parseDuration } from './times.ts'

export type Parsed<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly rule: string }

const value = <T>(parsed: T): Parsed<T> => ({ ok: true, value: parsed })
const rule = <T>(text: string): Parsed<T> => ({ ok: false, rule: text })

export const settingNames = [
  'id',
  'listen',
  'data',
  'cluster',
  'join',
  'cluster-name',
  'host',
  'log-level',
  'limits',
] as const
export type SettingName = (typeof settingNames)[number]

export const environmentName = (name: SettingName): string =>
  `FLOTILLA_${name.toUpperCase().replaceAll('-', '_')}`

const nameRule = 'a name is 1 to 249 of a-z, A-Z, 0-9, ".", "_" and "-", and neither "." nor ".."'

export function parseName(text: unknown): Parsed<string> {
  if (typeof text !== 'string') return rule(nameRule)
  return /^[a-zA-Z0-9._-]{1,249}$/.test(text) && text !== '.' && text !== '..' ? value(text) : rule(nameRule)
}

export function parseAddress(text: unknown, lowestPort: 0 | 1): Parsed<string> {
  if (typeof text !== 'string') return rule('an address is HOST:PORT, as 127.0.0.1:7101 or [::1]:7101')
  const fault = addressFault(text, lowestPort)
  return fault === undefined ? value(text) : rule(fault)
}

export function parseDirectory(text: unknown): Parsed<string> {
  const isPath = typeof text === 'string' && text !== '' && !text.includes('\0')
  return isPath ? value(text) : rule('a folder is a path of at least one character')
}

const clusterRule = 'the list is ID=HOST:PORT for each node, separated by commas'

/** `n1=127.0.0.1:7101,n2=…`; in a file also a list of such, or a table from id to address. */
export function parseCluster(raw: unknown): Parsed<readonly ClusterMember[]> {
  const items = clusterItems(raw)
  if (items === undefined || items.length === 0) return rule(clusterRule)
  const faults: string[] = []
  const members: ClusterMember[] = []
  for (const item of items) {
    const separator = item.indexOf('=')
    if (separator === -1) {
      faults.push(`${JSON.stringify(item)} is not ID=HOST:PORT`)
      continue
    }
    const [nodeId, address] = [item.slice(0, separator).trim(), item.slice(separator + 1).trim()]
    const name = parseName(nodeId)
    const fault = addressFault(address, 1)
    if (!name.ok) faults.push(`the id ${JSON.stringify(nodeId)} of ${JSON.stringify(item)}: ${name.rule}`)
    if (fault !== undefined) faults.push(`the address ${JSON.stringify(address)} of ${nodeId}: ${fault}`)
    if (members.some((member) => member.nodeId === nodeId)) {
      faults.push(`the id ${JSON.stringify(nodeId)} is there twice; every node needs one of its own`)
    }
    const sameAddress = members.find((member) => member.address === address)
    if (sameAddress !== undefined && fault === undefined) {
      faults.push(`${sameAddress.nodeId} and ${nodeId} have the same address ${address}`)
    }
    members.push({ nodeId, address })
  }
  return faults.length === 0 ? value(members) : rule(faults.join('; '))
}

/** `127.0.0.1:7101,…`; in a file also a list of such. */
export function parseJoin(raw: unknown): Parsed<readonly string[]> {
  const items = typeof raw === 'string' ? raw.split(',') : raw
  if (!Array.isArray(items) || items.length === 0 || !items.every((item) => typeof item === 'string')) {
    return rule('the addresses are HOST:PORT, separated by commas')
  }
  const addresses = items.map((item) => item.trim())
  const faults = addresses.flatMap((address) => {
    const fault = addressFault(address, 1)
    return fault === undefined ? [] : [`${JSON.stringify(address)}: ${fault}`]
  })
  return faults.length === 0 ? value(addresses) : rule(faults.join('; '))
}

function clusterItems(raw: unknown): string[] | undefined {
  if (typeof raw === 'string') return raw.split(',').map((item) => item.trim())
  if (Array.isArray(raw)) {
    return raw.every((item) => typeof item === 'string') ? raw.map((item) => item.trim()) : undefined
  }
  if (typeof raw !== 'object' || raw === null) return undefined
  const entries = Object.entries(raw)
  return entries.every(([, address]) => typeof address === 'string')
    ? entries.map(([nodeId, address]) => `${nodeId}=${String(address)}`)
    : undefined
}

interface LimitRule {
  readonly property: keyof ServerLimits
  readonly unit: 'bytes' | 'ms' | 'count'
  readonly min: number
  readonly max: number
}

const kib = 1024
const mib = 1024 * kib
const gib = 1024 * mib

/** Name in a file, environment or flag, and what it may be. */
export const limitRules: Readonly<Record<string, LimitRule>> = {
  'max-record-size': { property: 'maxRecordBytes', unit: 'bytes', min: 1, max: mib },
  'max-batch-size': { property: 'maxBatchBytes', unit: 'bytes', min: kib, max: 4 * mib },
  'max-inflight-per-connection': {
    property: 'maxInflightBytesPerConnection',
    unit: 'bytes',
    min: mib,
    max: gib,
  },
  'max-inflight-per-partition': {
    property: 'maxInflightBytesPerPartition',
    unit: 'bytes',
    min: mib,
    max: gib,
  },
  'max-inflight-per-node': { property: 'maxInflightBytesPerNode', unit: 'bytes', min: mib, max: 16 * gib },
  'max-partitions-per-topic': { property: 'maxPartitionsPerTopic', unit: 'count', min: 1, max: 1024 },
  'max-replicas-per-node': { property: 'maxReplicasPerNode', unit: 'count', min: 1, max: 100_000 },
  'max-open-streams': { property: 'maxOpenStreams', unit: 'count', min: 1, max: 100_000 },
  tick: { property: 'tickMs', unit: 'ms', min: 1, max: 1000 },
  'election-timeout': { property: 'electionTimeoutMs', unit: 'ms', min: 10, max: 60_000 },
  heartbeat: { property: 'heartbeatMs', unit: 'ms', min: 1, max: 10_000 },
  'stalled-disk': { property: 'stalledDiskMs', unit: 'ms', min: 100, max: 600_000 },
  'segment-threshold': { property: 'segmentThresholdBytes', unit: 'bytes', min: 1, max: 4 * mib },
  'segment-size': { property: 'segmentBytes', unit: 'bytes', min: mib, max: gib },
  'crowded-turn': { property: 'crowdedAboveGroups', unit: 'count', min: 0, max: 1_000_000 },
  'shared-threshold': { property: 'sharedThresholdBytes', unit: 'bytes', min: 1, max: 4 * mib },
  'shared-segment-size': { property: 'sharedSegmentBytes', unit: 'bytes', min: mib, max: gib },
  'shared-segments': { property: 'sharedBytes', unit: 'bytes', min: mib, max: 1024 * gib },
  'log-window': { property: 'windowBytes', unit: 'bytes', min: 1, max: gib },
  'log-windows-per-node': { property: 'windowBytesPerNode', unit: 'bytes', min: mib, max: 16 * gib },
  'save-state-entries': { property: 'saveStateEntries', unit: 'count', min: 1, max: 1_000_000 },
  'metadata-compact-entries': { property: 'metadataCompactEntries', unit: 'count', min: 10, max: 1_000_000 },
  'append-timeout': { property: 'appendTimeoutMs', unit: 'ms', min: 100, max: 600_000 },
  shutdown: { property: 'shutdownMs', unit: 'ms', min: 0, max: 600_000 },
}

/** `NAME=VALUE,…`, a list of such, or a table. Sizes as 4MiB, times as 500ms. */
export function parseLimits(raw: unknown): Parsed<ServerLimits> {
  const pairs = limitPairs(raw)
  if (pairs === undefined) return rule('limits are NAME=VALUE, separated by commas')
  const faults: string[] = []
  const limits: { -readonly [Key in keyof ServerLimits]: number } = {}
  for (const [name, text] of pairs) {
    const limit = Object.hasOwn(limitRules, name) ? limitRules[name] : undefined
    if (limit === undefined) {
      faults.push(
        `there is no limit ${JSON.stringify(name)}; there are ${Object.keys(limitRules).join(', ')}`,
      )
      continue
    }
    const amount = parseAmount(text, limit.unit)
    if (amount === undefined || amount < limit.min || amount > limit.max) {
      faults.push(`${name} is ${JSON.stringify(text)}, but has to be ${describeRange(limit)}`)
      continue
    }
    limits[limit.property] = amount
  }
  faults.push(...relationFaults(limits))
  return faults.length === 0 ? value(limits) : rule(faults.join('; '))
}

/** Raft counts in ticks, and a leader has to be heard several times before anyone stands against it. */
function relationFaults(limits: ServerLimits): string[] {
  const tickMs = limits.tickMs ?? 50
  const electionMs = limits.electionTimeoutMs ?? 500
  const heartbeatMs = limits.heartbeatMs ?? 100
  const faults: string[] = []
  if (electionMs % tickMs !== 0)
    faults.push(`election-timeout (${electionMs} ms) has to be a multiple of tick (${tickMs} ms)`)
  if (heartbeatMs % tickMs !== 0)
    faults.push(`heartbeat (${heartbeatMs} ms) has to be a multiple of tick (${tickMs} ms)`)
  if (electionMs < 3 * heartbeatMs) {
    faults.push(
      `election-timeout (${electionMs} ms) has to be at least three times heartbeat (${heartbeatMs} ms)`,
    )
  }
  return faults
}

function limitPairs(raw: unknown): [string, unknown][] | undefined {
  if (typeof raw === 'string') return limitPairs(raw.split(',').map((item) => item.trim()))
  if (Array.isArray(raw)) {
    const pairs: [string, unknown][] = []
    for (const item of raw) {
      const separator = typeof item === 'string' ? item.indexOf('=') : -1
      if (separator < 1) return undefined
      pairs.push([
        String(item).slice(0, separator).trim(),
        String(item)
          .slice(separator + 1)
          .trim(),
      ])
    }
    return pairs
  }
  return typeof raw === 'object' && raw !== null ? Object.entries(raw) : undefined
}

const sizeUnits: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: kib, MiB: mib, GiB: gib }

function parseAmount(raw: unknown, unit: LimitRule['unit']): number | undefined {
  if (typeof raw === 'number') return Number.isSafeInteger(raw) ? raw : undefined
  if (typeof raw !== 'string') return undefined
  if (/^\d{1,15}$/.test(raw)) return Number(raw)
  if (unit === 'ms') return parseDuration(raw)
  const match = /^(\d{1,9}) ?([KMG]iB|B)$/.exec(raw)
  return unit === 'bytes' && match !== null ? Number(match[1]) * (sizeUnits[match[2] ?? ''] ?? 1) : undefined
}

function describeRange({ unit, min, max }: LimitRule): string {
  switch (unit) {
    case 'bytes':
      return `${min} to ${max} bytes (as a number, or as 64KiB, 4MiB)`
    case 'ms':
      return `${min} to ${max} ms (as a number, or as 500ms, 5s)`
    case 'count':
      return `a whole number from ${min} to ${max}`
  }
}
