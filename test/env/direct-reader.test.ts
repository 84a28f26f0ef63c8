import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BLOCK_BYTES } from '../../src/env/index.ts'
import { DirectReader, directReader, type DirectReadHandle } from '../../src/env/node/direct-reader.ts'
import { DirectStages, STAGE_BYTES } from '../../src/env/node/direct-stages.ts'
import { nodeFiles } from '../../src/env/node/disk.ts'

const leastBytes = 64 * 1024

/** Refuses what O_DIRECT would, and brings at most so many bytes a read. */
class Source implements DirectReadHandle {
  readonly #content: Uint8Array
  reads = 0
  closed = 0
  failure: string | undefined
  mostBytes = Infinity

  constructor(content: Uint8Array) {
    this.#content = content
  }

  async read(bytes: Uint8Array, offset: number, length: number, position: number) {
    this.reads += 1
    if (this.failure !== undefined) throw Object.assign(new Error(this.failure), { code: this.failure })
    expect([offset, length % BLOCK_BYTES, position % BLOCK_BYTES]).toEqual([0, 0, 0])
    const found = this.#content.subarray(position, position + Math.min(length, this.mostBytes))
    bytes.set(found)
    return { bytesRead: found.length }
  }

  async close() {
    this.closed += 1
  }
}

const contentOf = (length: number): Uint8Array => {
  const content = new Uint8Array(length)
  for (let at = 0; at < length; at++) content[at] = (at * 31 + (at >> 8) + (at >> 16)) & 0xff
  return content
}

const readerOf = (source: Source, stages = new DirectStages(2)): DirectReader =>
  new DirectReader(async () => source, stages)

describe('reads past the page cache', () => {
  it('fail as any read where the disk fails, and leave their memory to the next', async () => {
    const source = new Source(contentOf(200_000))
    const reader = readerOf(source, new DirectStages(1))
    source.failure = 'EIO'
    for (let attempt = 0; attempt < 3; attempt++)
      await expect(reader.read(0, leastBytes)).rejects.toThrow('EIO')
    source.failure = undefined
    expect(await reader.read(0, leastBytes)).toHaveLength(leastBytes)
  })

  it('give way for good where the file system refuses them, at the open or at a read', async () => {
    const source = new Source(contentOf(200_000))
    const reader = readerOf(source)
    source.failure = 'EINVAL'
    expect(await reader.read(0, leastBytes)).toBeUndefined()
    source.failure = undefined
    expect(await reader.read(0, leastBytes)).toBeUndefined()
    expect(source.reads).toBe(1)
    const unopened = new DirectReader(async () => {
      throw Object.assign(new Error('not here'), { code: 'EMFILE' })
    }, new DirectStages(1))
    expect(await unopened.read(0, leastBytes)).toBeUndefined()
    await unopened.close()
  })

  it('leave small reads to the cache, without opening the file', async () => {
    let opened = 0
    const reader = new DirectReader(async () => {
      opened += 1
      return new Source(contentOf(10))
    }, new DirectStages(1))
    expect(await reader.read(0, leastBytes - 1)).toBeUndefined()
    await reader.close()
    expect(opened).toBe(0)
  })

  it('bring the same bytes as any read, from wherever, whatever the system brings at a time', async () => {
    const size = 3 * STAGE_BYTES
    const content = contentOf(size)
    await fc.assert(
      fc.asyncProperty(
        fc.nat(size + 10_000),
        fc.integer({ min: leastBytes, max: 2 * STAGE_BYTES + 5000 }),
        fc.constantFrom(Infinity, STAGE_BYTES - BLOCK_BYTES, 300_001, 50_000),
        fc.nat(5000),
        async (position, length, mostBytes, missing) => {
          const source = new Source(content.subarray(0, size - missing))
          source.mostBytes = mostBytes
          const expected = content.subarray(0, size - missing).subarray(position, position + length)
          expect(Buffer.compare((await readerOf(source).read(position, length))!, expected)).toBe(0)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('share their memory: who finds none waits', async () => {
    const source = new Source(contentOf(1_000_000))
    const reader = readerOf(source, new DirectStages(1))
    const reads = await Promise.all(Array.from({ length: 5 }, (_, at) => reader.read(at * 1000, 100_000)))
    reads.forEach((read, at) => {
      expect(Buffer.compare(read!, contentOf(1_000_000).subarray(at * 1000, at * 1000 + 100_000))).toBe(0)
    })
    await reader.close()
    expect(source.closed).toBe(1)
  })

  it('find on a real disk what was written, beside a reader through the cache', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'flotilla-direct-'))
    try {
      const path = join(directory, 'file')
      const content = contentOf(300_000)
      const file = await nodeFiles.open(path)
      await file.write([content], 0)
      await file.sync()
      for (const readers of ['one', 'many'] as const) {
        const read = await file.read(1234, 400_000, readers)
        expect(Buffer.compare(read, content.subarray(1234))).toBe(0)
      }
      await file.close()
      const handle = await open(path)
      const reader = directReader(handle)
      expect(reader).toBeDefined()
      // Where the folder for temporary files lies in memory, the system refuses.
      const past = await reader!.read(1234, 200_000)
      if (past !== undefined) expect(Buffer.compare(past, content.subarray(1234, 201_234))).toBe(0)
      await reader!.close()
      await handle.close()
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })

  it('go on in a file that was removed, and whose name another has', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'flotilla-direct-'))
    try {
      const path = join(directory, 'file')
      const content = contentOf(100_000)
      const removed = await nodeFiles.open(path)
      await removed.write([content], 0)
      await nodeFiles.remove(path)
      const other = await nodeFiles.open(path)
      await other.write([new Uint8Array(100_000)], 0)
      expect(Buffer.compare(await removed.read(0, 100_000, 'one'), content)).toBe(0)
      await removed.close()
      await other.close()
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})
