/** A folder for the data of a benchmark, on a disk that keeps what is synced, and gone afterwards. */
import { mkdtemp, open, mkdir, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LatencyHistogram, type LatencySummary } from './latency.ts'

// statfs(2): file systems that live in memory, where a sync costs nothing and proves nothing.
const memoryFileSystems = new Set([0x0102_1994, 0x8584_58f6])

export interface Scratch extends AsyncDisposable {
  readonly directory: string
  readonly isInMemory: boolean
}

/** Below `parent`, or else below the first of the usual folders that lies on a disk. */
export async function makeScratch(parent: string | undefined): Promise<Scratch> {
  const place = await choosePlace(parent)
  await mkdir(place.directory, { recursive: true })
  const directory = await mkdtemp(join(place.directory, 'flotilla-bench-'))
  return {
    directory,
    isInMemory: place.isInMemory,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

interface Place {
  readonly directory: string
  readonly isInMemory: boolean
}

async function choosePlace(parent: string | undefined): Promise<Place> {
  const candidates = parent === undefined ? [tmpdir(), '/var/tmp', process.cwd()] : [parent]
  const places = await Promise.all(candidates.map(look))
  return places.find(({ isInMemory }) => !isInMemory) ?? places[0]!
}

async function look(directory: string): Promise<Place> {
  const fileSystem = await statfs(directory).catch(() => undefined)
  return { directory, isInMemory: fileSystem !== undefined && memoryFileSystems.has(fileSystem.type) }
}

const probeWrites = 200
const probeBytes = 4096

/** How long the disk below takes to write and sync 4 KiB: no acknowledged append can be quicker. */
export async function measureSync(directory: string): Promise<LatencySummary | undefined> {
  const histogram = new LatencyHistogram()
  const file = await open(join(directory, 'sync-probe'), 'w')
  try {
    const block = Buffer.alloc(probeBytes, 1)
    for (let written = 0; written < probeWrites; written++) {
      const startMs = performance.now()
      await file.write(block, 0, probeBytes, written * probeBytes)
      await file.datasync()
      histogram.record(performance.now() - startMs)
    }
  } finally {
    await file.close()
  }
  return histogram.summary()
}
