/**
 * What is drawn of one run: data, without names that repeat, so that a run of thirty seconds stays a few megabytes. Times
 * are microseconds of virtual time; a host is a place in `hosts`, a text a place in `texts`.
 */
export interface Picture {
  readonly version: string
  readonly seed: number
  /** The command that runs it again. */
  readonly replay: string
  /** Digest of the whole trace. */
  readonly digest: string
  readonly title: string
  readonly endUs: number
  readonly violations: readonly PictureViolation[]
  readonly hosts: readonly PictureHost[]
  readonly groups: readonly PictureGroup[]
  /** "§7§" in a text stands for the name of group 7. */
  readonly texts: readonly string[]
  readonly messages: readonly MessageRow[]
  readonly roles: readonly RoleRow[]
  readonly lives: readonly LifeRow[]
  readonly pauses: readonly PauseRow[]
  readonly blocks: readonly BlockRow[]
  readonly faults: readonly FaultRow[]
  readonly entries: readonly EntryRow[]
  readonly hardStates: readonly HardStateRow[]
  readonly commits: readonly CommitRow[]
  readonly calls: readonly CallRow[]
  readonly notes: readonly NoteRow[]
  readonly story: readonly StoryRow[]
  /** What had no room, in words. */
  readonly leftOut: readonly string[]
}

export interface PictureViolation {
  readonly law: string
  /** What should hold, in a sentence. */
  readonly text: string
  readonly atUs: number
  readonly detail: string
}

export interface PictureHost {
  readonly name: string
  readonly isNode: boolean
}

export interface PictureGroup {
  readonly id: number
  readonly name: string
}

/** Kinds of messages, for the filter; a row holds the place. */
export const messageKinds = [
  'replication',
  'election',
  'heartbeat',
  'snapshot',
  'client',
  'connection',
] as const
export type MessageKind = (typeof messageKinds)[number]

/** It never arrived. */
export const DROPPED = -1
/** The run ended before. */
export const UNDER_WAY = -2

/** Of each kind of row but messages there are so many at most. */
export const MOST_ROWS = 60_000

/** Sent, arrived (or DROPPED, or UNDER_WAY), from, to, kind, text, groups that it is about. */
export type MessageRow = readonly [number, number, number, number, number, number, readonly number[]]
/** At, host, group, role (text), term. */
export type RoleRow = readonly [number, number, number, number, number]
/** From, to (the run's end where it lived on), host, how it ended (text; -1: it lived on). */
export type LifeRow = readonly [number, number, number, number]
/** From, to, host. */
export type PauseRow = readonly [number, number, number]
/** From, to, sending host, receiving host. */
export type BlockRow = readonly [number, number, number, number]
/** At, for microseconds, host or -1, kind (text). */
export type FaultRow = readonly [number, number, number, number]
/** At, host, group, index, term (0: it is gone), digest, first offset, offset after the last. */
export type EntryRow = readonly [number, number, number, number, number, number, number, number]
/** At, host, group, term, vote (host or -1), commit index. */
export type HardStateRow = readonly [number, number, number, number, number, number]
/** At, group, index: a majority has it on stable storage. */
export type CommitRow = readonly [number, number, number]
/** From, to (-1: it was open at the end), host, outcome (place in callOutcomes), text, groups. */
export type CallRow = readonly [number, number, number, number, number, readonly number[]]
/** At, host or -1, text. */
export type NoteRow = readonly [number, number, number]
/** At, host or -1, weight (2: what broke, 1: a fault, 0: what followed), text. */
export type StoryRow = readonly [number, number, number, number]

export const callOutcomes = ['open', 'answered', 'refused', 'no answer', 'ended'] as const
export type CallOutcome = (typeof callOutcomes)[number]
