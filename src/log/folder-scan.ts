import type { Clock, Logger, Store } from '../env/index.ts'
import type { HardState, LogIndex, SnapshotMark } from '../raft/types.ts'
import { assert } from './assert.ts'
import { GroupScan } from './group-scan.ts'
import { groupOfKey, indexOfEntryKey, keyKind, kindRange } from './keys.ts'
import type { KeyKind } from './keys.ts'
import { decodeGroup, decodeHardState, decodeState, decodeText } from './records.ts'
import type { StateAt } from './records.ts'
import type { GroupId, LogLimits } from './types.ts'

/** A scan that takes longer says so now and then. */
const progressEveryMs = 5_000

/** Called after the group's scan has looked at an entry. */
export type OnEntry = (group: GroupScan, index: LogIndex, value: Uint8Array) => Promise<void>

/** Reads everything of all groups, kind by kind, in one pass each. */
export class FolderScan {
  readonly destroyed = new Set<GroupId>()
  entries = 0
  readonly #store: Store
  readonly #tailBytes: number
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #damage: Map<GroupId, string>
  readonly #lowEnds = new Map<GroupId, SnapshotMark>()
  readonly #hardStates = new Map<GroupId, HardState>()
  readonly #applied = new Map<GroupId, StateAt>()
  readonly #scans = new Map<GroupId, GroupScan>()
  readonly #seen = new Set<GroupId>()
  readonly #onEntry: OnEntry | undefined
  #reportedMs: number

  constructor(
    store: Store,
    limits: Pick<LogLimits, 'tailBytes'>,
    clock: Clock,
    logger: Logger,
    damage: Map<GroupId, string>,
    onEntry?: OnEntry,
  ) {
    this.#store = store
    this.#tailBytes = limits.tailBytes
    this.#clock = clock
    this.#logger = logger
    this.#damage = damage
    this.#onEntry = onEntry
    this.#reportedMs = clock.nowMs()
    assert(limits.tailBytes >= 0, 'log.scan-tail', () => `${limits.tailBytes} bytes`)
  }

  async run(folderDamage: string | undefined): Promise<void> {
    assert(this.entries === 0 && this.#scans.size === 0, 'log.scan-once', () => `${this.entries} entries`)
    await this.#records(keyKind.destroyed, 'mark of destruction', (groupId, value, key) => {
      decodeText(value, key)
      this.destroyed.add(groupId)
    })
    await this.#records(keyKind.damage, 'record of damage', (groupId, value, key) => {
      this.#addDamage(groupId, decodeText(value, key))
    })
    await this.#records(keyKind.group, 'record of its low end', (groupId, value, key) => {
      this.#lowEnds.set(groupId, decodeGroup(value, key))
    })
    await this.#records(keyKind.hardState, 'hard state', (groupId, value, key) => {
      this.#hardStates.set(groupId, decodeHardState(value, key))
    })
    await this.#records(keyKind.applied, 'applied state', (groupId, value, key) => {
      this.#applied.set(groupId, decodeState(value, key))
    })
    await this.#allEntries()
    for (const groupId of this.groupIds()) {
      assert(!this.destroyed.has(groupId), 'log.scan-destroyed', () => `group ${groupId}`)
      const scan = this.group(groupId)
      scan.finish()
      scan.damage = this.#damage.get(groupId) ?? folderDamage ?? scan.damage
    }
  }

  /** Sorted, so that what follows from the order is the same at every start. */
  groupIds(): GroupId[] {
    return [...this.#seen].sort((left, right) => left - right)
  }

  group(groupId: GroupId): GroupScan {
    let scan = this.#scans.get(groupId)
    if (scan === undefined) {
      const records = {
        lowEnd: this.#lowEnds.get(groupId),
        hardState: this.#hardStates.get(groupId),
        applied: this.#applied.get(groupId),
      }
      assert(this.#seen.has(groupId), 'log.scan-unseen', () => `group ${groupId}`)
      scan = new GroupScan(groupId, records, this.#tailBytes)
      this.#scans.set(groupId, scan)
    }
    return scan
  }

  async #records(
    kind: KeyKind,
    what: string,
    take: (groupId: GroupId, value: Uint8Array, key: Uint8Array) => void,
  ): Promise<void> {
    for await (const [key, value] of this.#store.iterate(kindRange(kind))) {
      const groupId = groupOfKey(key)
      assert(key[0] === kind, 'log.scan-kind', () => `kind ${key[0]} in place of ${kind}`)
      try {
        take(groupId, value, key)
      } catch (error) {
        // Pure decoding: whatever is thrown says that the bytes aren't such a record.
        this.#addDamage(groupId, `its ${what}: ${error instanceof Error ? error.message : String(error)}`)
      }
      if (!this.destroyed.has(groupId)) this.#seen.add(groupId)
    }
  }

  async #allEntries(): Promise<void> {
    let newest = 0
    for await (const [key, value] of this.#store.iterate(kindRange(keyKind.entry))) {
      const groupId = groupOfKey(key)
      assert(key[0] === keyKind.entry, 'log.scan-entry-kind', () => `kind ${key[0]}`)
      assert(groupId >= newest, 'log.scan-order', () => `group ${groupId} after ${newest}`)
      newest = groupId
      if (this.destroyed.has(groupId)) continue
      this.#seen.add(groupId)
      const group = this.group(groupId)
      group.add(indexOfEntryKey(key), value)
      if (this.#onEntry !== undefined) await this.#onEntry(group, indexOfEntryKey(key), value)
      this.entries++
      if (this.entries % 10_000 === 0) this.#reportProgress()
    }
  }

  #addDamage(groupId: GroupId, text: string): void {
    if (!this.#damage.has(groupId)) this.#damage.set(groupId, text)
  }

  #reportProgress(): void {
    const nowMs = this.#clock.nowMs()
    assert(nowMs >= this.#reportedMs, 'log.scan-clock', () => `${nowMs} after ${this.#reportedMs}`)
    if (nowMs - this.#reportedMs < progressEveryMs) return
    this.#reportedMs = nowMs
    this.#logger.info({ groups: this.#seen.size, entries: this.entries }, 'reading the log')
  }
}
