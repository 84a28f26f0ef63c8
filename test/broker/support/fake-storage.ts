import type { GroupId, GroupWrite, IndexPoint, LogStorage, RecoveredGroup } from '../../../src/log/types.ts'
import type { Entry, LogIndex, LogMark, Snapshot } from '../../../src/raft/types.ts'

interface Commit {
  readonly turn: readonly GroupWrite[]
  finish(): void
  fail(error: Error): void
}

/** A storage whose commits end when a test says so. It holds the entries that were given to `entries`. */
export class FakeStorage implements LogStorage {
  readonly recovered = new Map<GroupId, RecoveredGroup>()
  release(groupId: GroupId): void {
    this.recovered.delete(groupId)
  }
  readonly clusterId: string | undefined = undefined
  readonly commits: Commit[] = []
  readonly underWay: Commit[] = []
  mostAtOnce = 0
  entries: readonly Entry[] = []
  signposts: readonly IndexPoint[] = []
  reads = 0

  commit(turn: readonly GroupWrite[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const commit: Commit = {
        turn,
        finish: () => {
          this.underWay.splice(this.underWay.indexOf(commit), 1)
          resolve()
        },
        fail: (error) => {
          this.underWay.splice(this.underWay.indexOf(commit), 1)
          reject(error)
        },
      }
      this.commits.push(commit)
      this.underWay.push(commit)
      this.mostAtOnce = Math.max(this.mostAtOnce, this.underWay.length)
    })
  }
  readEntries(_groupId: GroupId, from: LogIndex, to: LogIndex, maxBytes: number): Promise<Entry[]> {
    this.reads += 1
    const found: Entry[] = []
    let bytes = 0
    for (const entry of this.entries) {
      if (entry.index < from || entry.index > to) continue
      bytes += entry.payloadBytes
      if (found.length > 0 && bytes > maxBytes) break
      found.push(entry)
    }
    return Promise.resolve(found)
  }
  has(): boolean {
    return true
  }
  restorePayload(): Promise<boolean> {
    return Promise.resolve(false)
  }
  findByOffset(_groupId: GroupId, offset: number): Promise<IndexPoint | undefined> {
    return Promise.resolve(this.signposts.findLast((point) => point.offset <= offset))
  }
  findByTime(_groupId: GroupId, timeMs: number): Promise<IndexPoint | undefined> {
    return Promise.resolve(this.signposts.findLast((point) => point.appendTimeMs < timeMs))
  }
  quarantine(): Promise<string> {
    return Promise.resolve('quarantine')
  }
  setClusterId(): Promise<void> {
    return Promise.resolve()
  }
  readLowEnd(): Promise<Snapshot> {
    return Promise.reject(new Error('this storage has no low end'))
  }
  sizeBytes(): number {
    return 0
  }
  lastMark(): LogMark {
    throw new Error('this storage keeps no marks')
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}
