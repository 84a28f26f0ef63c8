/** Flags, environment, file and defaults become the settings of a node, or the list of all that is wrong. Pure. */
import { parse as parseToml } from 'smol-toml'
import type { ClusterMember, ServerConfig, ServerLimits } from '../broker/config.ts'
import { logLevels, type LogLevel } from '../env/node/logger.ts'
import {
  environmentName,
  parseAddress,
  parseCluster,
  parseDirectory,
  parseJoin,
  parseLimits,
  parseName,
  settingNames,
  type Parsed,
  type SettingName,
} from './server-settings.ts'

/** As given on the command line, unchecked. */
export type ServerFlags = Readonly<Partial<Record<SettingName, string | readonly string[]>>>

export interface ConfigInput {
  readonly flags: ServerFlags
  readonly env: Readonly<Record<string, string | undefined>>
  readonly fileText?: string
  readonly filePath?: string
}

export type Source =
  | { readonly type: 'flag'; readonly name: string }
  | { readonly type: 'environment'; readonly name: string }
  | { readonly type: 'file'; readonly path: string; readonly key: string }
  | { readonly type: 'default'; readonly from: string | undefined }

export interface Fault {
  readonly setting: string
  /** As it was given; undefined where nothing was. */
  readonly value: unknown
  readonly rule: string
  readonly source: Source
}

export interface Settings {
  readonly server: ServerConfig
  readonly logLevel: LogLevel
}

export type Provenance = Readonly<Record<SettingName, { readonly value: unknown; readonly source: Source }>>

export type Resolution =
  | { readonly ok: true; readonly config: Settings; readonly provenance: Provenance }
  | { readonly ok: false; readonly faults: readonly Fault[] }

interface Given {
  readonly raw: unknown
  readonly source: Source
}

export function resolveServerConfig(input: ConfigInput): Resolution {
  const faults: Fault[] = []
  const file = readFile(input, faults)
  const given = (name: SettingName): Given | undefined => find(name, input, file)
  const provenance: Partial<Record<SettingName, { value: unknown; source: Source }>> = {}

  /** Undefined only where a fault was noted. */
  const settle = <T>(
    name: SettingName,
    parse: (raw: unknown) => Parsed<T>,
    fallback: () => { readonly value: T; readonly from?: string } | undefined,
  ): T | undefined => {
    const found = given(name)
    if (found === undefined) {
      const chosen = fallback()
      if (chosen === undefined) return undefined
      provenance[name] = { value: chosen.value, source: { type: 'default', from: chosen.from } }
      return chosen.value
    }
    const parsed = parse(found.raw)
    if (!parsed.ok) {
      faults.push({ setting: name, value: found.raw, rule: parsed.rule, source: found.source })
      return undefined
    }
    provenance[name] = { value: parsed.value, source: found.source }
    return parsed.value
  }

  const nodeId = settle('id', parseName, () => {
    const rule = 'a node needs an id of its own, as n1'
    faults.push({ setting: 'id', value: undefined, rule, source: { type: 'default', from: undefined } })
    return undefined
  })
  const listed = given('cluster')
  const members = listed === undefined ? undefined : parseCluster(listed.raw)
  const own = members?.ok === true ? members.value.find((member) => member.nodeId === nodeId) : undefined
  const listen = settle(
    'listen',
    (raw) => parseAddress(raw, 0),
    () =>
      own === undefined
        ? { value: '127.0.0.1:7101' }
        : { value: own.address, from: "the node's address in cluster" },
  )
  const dataDirectory = settle('data', parseDirectory, () =>
    nodeId === undefined ? undefined : { value: `data/${nodeId}`, from: 'id' },
  )
  const joining = given('join')
  const join = settle<readonly string[] | undefined>('join', parseJoin, () => ({ value: undefined }))
  const cluster = settle<readonly ClusterMember[]>('cluster', parseCluster, () => {
    if (joining !== undefined) return { value: [], from: 'join' }
    return nodeId === undefined || listen === undefined
      ? undefined
      : { value: [{ nodeId, address: listen }], from: 'the node alone' }
  })
  const clusterName = settle('cluster-name', parseName, () => ({ value: 'flotilla' }))
  const hostLabel = settle('host', parseName, () =>
    nodeId === undefined ? undefined : { value: nodeId, from: 'id' },
  )
  const logLevel = settle('log-level', parseLogLevel, () => ({ value: 'info' as LogLevel }))
  const limits = settle<ServerLimits>('limits', parseLimits, () => ({ value: {} }))
  if (nodeId !== undefined && cluster !== undefined && listed !== undefined && own === undefined) {
    const rule = `the list has to name the node itself, ${nodeId}; it names ${cluster.map((member) => member.nodeId).join(', ')}`
    faults.push({ setting: 'cluster', value: listed.raw, rule, source: listed.source })
  }
  faults.push(...joinFaults(joining, listed, listen))
  if (
    faults.length > 0 ||
    nodeId === undefined ||
    listen === undefined ||
    dataDirectory === undefined ||
    cluster === undefined ||
    clusterName === undefined ||
    hostLabel === undefined ||
    logLevel === undefined ||
    limits === undefined
  ) {
    return { ok: false, faults }
  }
  const server: ServerConfig = {
    nodeId,
    listen,
    dataDirectory,
    cluster,
    ...(join === undefined ? {} : { join }),
    clusterName,
    hostLabel,
    limits,
  }
  return { ok: true, config: { server, logLevel }, provenance: provenance as Provenance }
}

/** One that joins has no list, so the others reach it where it listens. */
function joinFaults(
  joining: Given | undefined,
  listed: Given | undefined,
  listen: string | undefined,
): Fault[] {
  if (joining === undefined) return []
  const fault = (rule: string): Fault => ({
    setting: 'join',
    value: joining.raw,
    rule,
    source: joining.source,
  })
  const faults: Fault[] = []
  if (listed !== undefined) faults.push(fault('a node either begins with a cluster list or joins, not both'))
  if (listen !== undefined && /^(0\.0\.0\.0|\[::\]):/.test(listen)) {
    faults.push(
      fault(`listen is ${listen}, but has to be the address at which the other nodes reach this one`),
    )
  }
  return faults
}

function find(
  name: SettingName,
  input: ConfigInput,
  file: Readonly<Record<string, unknown>>,
): Given | undefined {
  const flag = input.flags[name]
  if (flag !== undefined) return { raw: flag, source: { type: 'flag', name: flagName(name) } }
  const variable = environmentName(name)
  const fromEnvironment = input.env[variable]
  // An empty variable is how a shell script leaves one out.
  if (fromEnvironment !== undefined && fromEnvironment !== '') {
    return { raw: fromEnvironment, source: { type: 'environment', name: variable } }
  }
  if (!Object.hasOwn(file, name)) return undefined
  return { raw: file[name], source: { type: 'file', path: input.filePath ?? 'the file', key: name } }
}

function flagName(name: SettingName): string {
  return name === 'limits' ? '--limit' : `--${name}`
}

function readFile(input: ConfigInput, faults: Fault[]): Readonly<Record<string, unknown>> {
  if (input.fileText === undefined) return {}
  const path = input.filePath ?? 'the file'
  let file: Record<string, unknown>
  try {
    file = parseToml(input.fileText)
  } catch (error) {
    const rule = `the file has to be TOML: ${error instanceof Error ? firstLine(error.message) : String(error)}`
    faults.push({ setting: 'config', value: path, rule, source: { type: 'flag', name: '--config' } })
    return {}
  }
  const known: readonly string[] = settingNames
  for (const key of Object.keys(file)) {
    if (known.includes(key)) continue
    const rule = `there is no such setting; there are ${settingNames.join(', ')}`
    faults.push({ setting: key, value: file[key], rule, source: { type: 'file', path, key } })
  }
  return file
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}

function parseLogLevel(raw: unknown): Parsed<LogLevel> {
  const level = logLevels.find((known) => known === raw)
  return level === undefined
    ? { ok: false, rule: `it has to be one of ${logLevels.join(', ')}` }
    : { ok: true, value: level }
}

export function describeSource(source: Source): string {
  switch (source.type) {
    case 'flag':
      return `flag ${source.name}`
    case 'environment':
      return `environment ${source.name}`
    case 'file':
      return `file ${source.path}, key ${source.key}`
    case 'default':
      return source.from === undefined ? 'default' : `default, from ${source.from}`
  }
}

/** One line a fault: setting, value, where it came from, and the rule. */
export function describeFaults(faults: readonly Fault[]): string {
  const lines = faults.map(({ setting, value, rule, source }) =>
    value === undefined
      ? `  ${setting} is missing (flag ${flagName(setting as SettingName)}, environment ${environmentName(setting as SettingName)}): ${rule}`
      : `  ${setting} = ${JSON.stringify(value)} (${describeSource(source)}): ${rule}`,
  )
  return [
    faults.length === 1 ? 'a setting is wrong:' : `${faults.length} settings are wrong:`,
    ...lines,
  ].join('\n')
}
