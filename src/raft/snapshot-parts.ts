import { assert } from './assert.ts'
import type { Core } from './core.ts'
import type { InstallSnapshot, Snapshot } from './types.ts'

/** What came of a snapshot that doesn't go on is dropped after so many election timeouts. */
const PATIENCE_ELECTIONS = 8

interface Parts {
  readonly first: InstallSnapshot
  readonly totalBytes: number
  readonly chunks: Uint8Array[]
  received: number
  ticks: number
}

/** A follower gathers the chunks of one snapshot, in order; in memory, so a crash starts it anew (§7, figure 13). */
export class SnapshotParts {
  readonly #core: Core
  #parts: Parts | undefined

  constructor(core: Core) {
    this.#core = core
  }

  /** The whole snapshot once its last chunk is here. Anything else is answered with where to go on. */
  add(message: InstallSnapshot): Snapshot | undefined {
    const { snapshot, offset = 0, totalBytes = snapshot.state.length } = message
    assert(Number.isSafeInteger(offset) && offset >= 0, 'raft.snapshot-offset', () => `${offset}`)
    if (totalBytes > this.#core.config.maxSnapshotBytes || offset + snapshot.state.length > totalBytes) {
      this.drop()
      this.#core.refusedMessages += 1
      return undefined
    }
    if (offset === 0 && snapshot.state.length === totalBytes) return snapshot
    if (this.#parts !== undefined && !this.#belongs(this.#parts, message, totalBytes)) this.drop()
    if (this.#parts === undefined && offset === 0) {
      this.#parts = { first: message, totalBytes, chunks: [], received: 0, ticks: 0 }
    }
    const parts = this.#parts
    if (parts !== undefined && offset === parts.received) {
      assert(
        parts.totalBytes === totalBytes,
        'raft.snapshot-total',
        () => `${totalBytes} of ${parts.totalBytes}`,
      )
      parts.chunks.push(snapshot.state)
      parts.received += snapshot.state.length
      parts.ticks = 0
      assert(parts.received <= totalBytes, 'raft.snapshot-parts', () => `${parts.received} of ${totalBytes}`)
      if (parts.received === totalBytes) return { ...snapshot, state: joined(parts) }
    }
    this.#answer(message, parts?.received ?? 0)
    return undefined
  }

  /** The same snapshot from the same leader in the same term: another's bytes may differ though they mean the same. */
  #belongs({ first, totalBytes }: Parts, message: InstallSnapshot, newTotalBytes: number): boolean {
    const [old, next] = [first.snapshot, message.snapshot]
    return (
      first.from === message.from &&
      first.term === message.term &&
      old.index === next.index &&
      old.term === next.term &&
      old.digest === next.digest &&
      totalBytes === newTotalBytes
    )
  }

  #answer({ from, snapshot }: InstallSnapshot, received: number): void {
    const { id, term } = this.#core
    this.#core.send({ type: 'snapshotReply', from: id, to: from, term, index: snapshot.index, received })
  }

  tick(): void {
    if (this.#parts === undefined) return
    this.#parts.ticks += 1
    const { config, commit } = this.#core
    assert(
      this.#parts.received < this.#parts.totalBytes,
      'raft.snapshot-whole',
      () => `${this.#parts?.received}`,
    )
    assert(this.#core.role !== 'leader', 'raft.snapshot-leader')
    const isOld = this.#parts.ticks >= PATIENCE_ELECTIONS * config.electionTicks
    if (isOld || commit >= this.#parts.first.snapshot.index) this.drop()
  }

  drop(): void {
    this.#parts = undefined
  }
}

function joined({ chunks, totalBytes }: Parts): Uint8Array {
  const state = new Uint8Array(totalBytes)
  let at = 0
  assert(chunks.length > 1, 'raft.snapshot-chunks', () => `${chunks.length}`)
  for (const chunk of chunks) {
    state.set(chunk, at)
    at += chunk.length
  }
  assert(at === totalBytes, 'raft.snapshot-joined', () => `${at} of ${totalBytes}`)
  return state
}
