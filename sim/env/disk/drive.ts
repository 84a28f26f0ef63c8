import type { Disk } from '../../../src/env/index.ts'
import type { RandomStream } from '../../core/random.ts'
import type { Life } from '../life.ts'
import type { Timeline } from '../timeline.ts'
import { FileTree, SimFiles } from './files.ts'
import { openSimStore, StoreContent, type StoredOperation } from './store.ts'

export interface DriveSpeed {
  /** A synced write takes so long, from and to. */
  readonly syncUs: readonly [number, number]
  /** Everything else. */
  readonly otherUs: readonly [number, number]
}

/** What happened to a drive, for counters and checkers. */
export interface DriveEvents {
  /** These operations are on stable storage: what LevelDB promised, not what it may have kept besides. */
  onDurable(operations: readonly StoredOperation[]): void
  /** Something that was acknowledged without a promise is gone. */
  onLost(what: 'unsynced-batch' | 'unsynced-file-bytes' | 'unsynced-name'): void
  /** A write met a broken or a full disk. */
  onFailedWrite(why: 'io-error' | 'no-space'): void
  /** What it gave or holds isn't what was written. */
  onDamage(what: 'read-flip' | 'lost-record' | 'bit-rot'): void
}

type WriteFailure = 'io-error' | 'no-space'

/** What a drive does for a process: a batch of LevelDB, the write of a file, the sync of one or of a directory. */
export type DriveWork = 'batch' | 'write' | 'sync'

/**
 * A node's disk. It outlives the node's processes and keeps what they were promised.
 *
 * - A process that is killed leaves everything that was written; of a batch or a file write that was under way there is
 *   a part (files) or all or nothing (LevelDB).
 * - A power cut leaves what was synced. Of the rest: LevelDB's write-ahead files each lose their end from some record
 *   on; files keep any of their unsynced 512-byte sectors; names that were not synced come and go one by one.
 * - A failed write is final for the process that met it: LevelDB latches it, and so does the code above.
 */
export class SimDrive {
  readonly random: RandomStream
  readonly timeline: Timeline
  readonly events: DriveEvents
  readonly #speed: DriveSpeed
  readonly #stores = new Map<string, StoreContent>()
  readonly tree = new FileTree()
  /** Writes end no sooner than this. */
  #stalledUntilUs = 0
  #slowUntilUs = 0
  #slowFactor = 1
  #fullUntilUs = 0
  #armedError: DriveWork | 'any' | undefined
  #armedFlips = 0
  /** Changes to files that have begun and not ended. */
  #changes = 0

  constructor(timeline: Timeline, random: RandomStream, speed: DriveSpeed, events: DriveEvents) {
    this.timeline = timeline
    this.random = random
    this.#speed = speed
    this.events = events
  }

  /** The disk as one process sees it. */
  mount(life: Life): Disk {
    return {
      openStore: (directory) => openSimStore(this, life, directory),
      files: new SimFiles(this, life),
    }
  }

  storeContent(directory: string): StoreContent {
    let content = this.#stores.get(directory)
    if (content === undefined) this.#stores.set(directory, (content = new StoreContent(this)))
    return content
  }

  get stores(): ReadonlyMap<string, StoreContent> {
    return this.#stores
  }

  /** A batch of LevelDB is under way. */
  get isWriting(): boolean {
    for (const store of this.#stores.values()) if (store.isWriting) return true
    return false
  }

  /** A batch of LevelDB, or a change to a file or a name, is under way. */
  get isChanging(): boolean {
    return this.#changes > 0 || this.isWriting
  }

  /** Resolves when a change to a file or a name that begins now has its effect. */
  change(life: Life, sync = false): Promise<void> {
    this.#changes++
    return new Promise((resolve) =>
      life.after(this.delayUs(sync), () => {
        this.#changes--
        resolve()
      }),
    )
  }

  stallUntil(timeUs: number): void {
    this.#stalledUntilUs = timeUs
  }

  slowUntil(timeUs: number, factor: number): void {
    this.#slowUntilUs = timeUs
    this.#slowFactor = factor
  }

  fullUntil(timeUs: number): void {
    this.#fullUntilUs = timeUs
  }

  /** The next work of this kind fails with EIO. */
  armError(at: DriveWork | 'any' = 'any'): void {
    this.#armedError = at
  }

  /** Another one, empty, is in its place. */
  replace(): void {
    this.#stores.clear()
    this.tree.replace()
    this.heal()
    this.formatted()
  }

  /** The folder of a node is there. */
  formatted(): void {
    this.tree.makeDirectory('/data')
    this.tree.settleAll()
  }

  /** One bit is flipped in each of the next reads. */
  armFlips(reads: number): void {
    this.#armedFlips = reads
  }

  /** What a process gets of `bytes`, which nobody else has. */
  read(bytes: Uint8Array): Uint8Array {
    if (this.#armedFlips === 0 || bytes.length === 0) return bytes
    this.#armedFlips--
    bytes[this.random.below(bytes.length)]! ^= 1 << this.random.below(8)
    this.events.onDamage('read-flip')
    return bytes
  }

  /** A bit of some file of segments is another one from now on. False: there is none that was there before the last write. */
  rot(): boolean {
    const files = this.tree.filesIn('/data/segments/')
    while (files.length > 0) {
      const [file] = files.splice(this.random.below(files.length), 1)
      if (file?.rot(this.random) !== true) continue
      this.events.onDamage('bit-rot')
      return true
    }
    return false
  }

  /** LevelDB's log loses a record. False: there is none that may go. */
  loseRecord(mayGo: (operations: readonly StoredOperation[]) => boolean): boolean {
    for (const store of this.#stores.values()) {
      if (!store.loseRecord(this.random, mayGo)) continue
      this.events.onDamage('lost-record')
      return true
    }
    return false
  }

  heal(): void {
    this.#armedFlips = 0
    this.#stalledUntilUs = 0
    this.#slowUntilUs = 0
    this.#fullUntilUs = 0
    this.#armedError = undefined
  }

  /** How long an operation takes from now on. */
  delayUs(sync: boolean): number {
    const [fastest, slowest] = sync ? this.#speed.syncUs : this.#speed.otherUs
    const slow = this.#slowUntilUs > this.timeline.nowUs ? this.#slowFactor : 1
    const usual = this.random.between(fastest, slowest) * slow
    return Math.max(usual, this.#stalledUntilUs - this.timeline.nowUs)
  }

  /** Whether work that ends now fails. */
  takeFailure(work: DriveWork): WriteFailure | undefined {
    if (this.#armedError === 'any' || this.#armedError === work) {
      this.#armedError = undefined
      this.events.onFailedWrite('io-error')
      return 'io-error'
    }
    if (this.#fullUntilUs > this.timeline.nowUs) {
      this.events.onFailedWrite('no-space')
      return 'no-space'
    }
    return undefined
  }

  /** The process was killed; the machine runs on. */
  processEnded(): void {
    this.#changes = 0
    for (const store of this.#stores.values()) store.processEnded()
    this.tree.processEnded(this.random)
  }

  /** The machine lost its power. */
  powerLost(): void {
    this.#armedError = undefined
    for (const [directory, store] of this.#stores) {
      if (this.tree.isDirectoryDurable(directory)) store.powerLost()
      else this.#stores.delete(directory)
    }
    this.tree.powerLost(this.random, (what) => this.events.onLost(what))
  }
}

export function errorOf(failure: WriteFailure, what: string): Error {
  return failure === 'io-error'
    ? new Error(`EIO: i/o error, ${what}`)
    : new Error(`ENOSPC: no space left on device, ${what}`)
}
