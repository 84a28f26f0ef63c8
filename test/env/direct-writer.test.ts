import type { FileHandle } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { BLOCK_BYTES } from '../../src/env/index.ts'
import { DirectStages } from '../../src/env/node/direct-stages.ts'
import { DirectWriter, type DirectHandle } from '../../src/env/node/direct-writer.ts'
import { NodeFile } from '../../src/env/node/disk.ts'

/** A file that takes at most so many bytes a write, or refuses them. */
class Target implements DirectHandle {
  readonly writes: { readonly position: number; readonly bytes: Uint8Array }[] = []
  closed = 0
  refusal: string | undefined
  mostBytes = Infinity

  async write(bytes: Uint8Array, offset: number, length: number, position: number) {
    if (this.refusal !== undefined) throw Object.assign(new Error(this.refusal), { code: this.refusal })
    const bytesWritten = Math.min(length, this.mostBytes)
    this.writes.push({ position, bytes: bytes.slice(offset, offset + bytesWritten) })
    return { bytesWritten }
  }

  async close() {
    this.closed += 1
  }
}

function writerOf(target: Target, stages = new DirectStages(4)) {
  let opened = 0
  const writer = new DirectWriter(async () => {
    opened += 1
    return target
  }, stages)
  return { writer, opened: () => opened }
}

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)

describe('writes past the page cache', () => {
  it('take whole blocks alone, and open the file for the first of them', async () => {
    const target = new Target()
    const { writer, opened } = writerOf(target)
    expect(await writer.write([filled(BLOCK_BYTES - 1, 1)], 0)).toBe(0)
    expect(await writer.write([filled(BLOCK_BYTES, 1)], 100)).toBe(0)
    expect(await writer.write([], 0)).toBe(0)
    expect(opened()).toBe(0)
    const chunks = [filled(1000, 1), filled(BLOCK_BYTES, 2), filled(BLOCK_BYTES - 1000, 3)]
    expect(await writer.write(chunks, BLOCK_BYTES)).toBe(2 * BLOCK_BYTES)
    expect(await writer.write([filled(BLOCK_BYTES, 4)], 0)).toBe(BLOCK_BYTES)
    expect(opened()).toBe(1)
    expect(target.writes.map(({ position }) => position)).toEqual([BLOCK_BYTES, 0])
    expect(Buffer.compare(target.writes[0]!.bytes, Buffer.concat(chunks))).toBe(0)
    await writer.close()
    expect(target.closed).toBe(1)
  })

  it('cut what is larger than a stage, without a gap', async () => {
    const target = new Target()
    const { writer } = writerOf(target)
    const chunks = Array.from({ length: 700 }, (_, at) =>
      filled(BLOCK_BYTES + (at % 2 === 0 ? 1 : -1), at & 0xff),
    )
    const total = 700 * BLOCK_BYTES
    expect(await writer.write(chunks, 8 * BLOCK_BYTES)).toBe(total)
    expect(target.writes.length).toBeGreaterThan(1)
    let end = 8 * BLOCK_BYTES
    for (const { position, bytes } of target.writes) {
      expect(position).toBe(end)
      expect(bytes.length % BLOCK_BYTES).toBe(0)
      end += bytes.length
    }
    const written = Buffer.concat(target.writes.map(({ bytes }) => bytes))
    expect(Buffer.compare(written, Buffer.concat(chunks))).toBe(0)
  })

  it('say how far they came where the system took a part', async () => {
    const target = new Target()
    target.mostBytes = 1000
    const { writer } = writerOf(target)
    expect(await writer.write([filled(BLOCK_BYTES, 1)], 0)).toBe(1000)
  })

  it('give way for good where the file system refuses them', async () => {
    const target = new Target()
    target.refusal = 'EINVAL'
    const { writer } = writerOf(target)
    expect(await writer.write([filled(BLOCK_BYTES, 1)], 0)).toBe(0)
    target.refusal = undefined
    expect(await writer.write([filled(BLOCK_BYTES, 1)], 0)).toBe(0)
    const closed = new DirectWriter(async () => {
      throw Object.assign(new Error('not here'), { code: 'EINVAL' })
    }, new DirectStages(4))
    expect(await closed.write([filled(BLOCK_BYTES, 1)], 0)).toBe(0)
    await closed.close()
  })

  it('fail as any write where the disk fails, and leave their stage to the next', async () => {
    const target = new Target()
    const { writer } = writerOf(target)
    target.refusal = 'EIO'
    for (let attempt = 0; attempt < 10; attempt++)
      await expect(writer.write([filled(BLOCK_BYTES, 1)], 0)).rejects.toThrow('EIO')
    target.refusal = undefined
    expect(await writer.write([filled(BLOCK_BYTES, 1)], 0)).toBe(BLOCK_BYTES)
  })

  it('wait for one another where more come than there are stages', async () => {
    const target = new Target()
    const { writer } = writerOf(target)
    const writes = Array.from({ length: 50 }, (_, at) =>
      writer.write([filled(BLOCK_BYTES, at)], at * BLOCK_BYTES),
    )
    expect(await Promise.all(writes)).toEqual(writes.map(() => BLOCK_BYTES))
    for (const { position, bytes } of target.writes) expect(bytes[0]).toBe(position / BLOCK_BYTES)
  })
})

describe('a file that is written past the page cache', () => {
  /** Counts what a file asks of the system; `failures` syncs fail first. */
  function fileOf(target: Target, failures = 0) {
    const asked = { syncs: 0, cached: 0 }
    const handle = {
      async datasync() {
        asked.syncs += 1
        if (asked.syncs <= failures) throw new Error('EIO')
      },
      async writev(chunks: readonly Uint8Array[]) {
        asked.cached += 1
        return { bytesWritten: chunks.reduce((sum, chunk) => sum + chunk.length, 0) }
      },
      async truncate() {},
      async close() {},
    }
    return { file: new NodeFile(handle as unknown as FileHandle, writerOf(target).writer), asked }
  }

  it('is synced once for what another process may have left, and no more for whole blocks', async () => {
    const { file, asked } = fileOf(new Target())
    await file.write([filled(BLOCK_BYTES, 1)], 0)
    await file.sync()
    expect(asked).toEqual({ syncs: 1, cached: 0 })
    await file.write([filled(BLOCK_BYTES, 1)], BLOCK_BYTES)
    await file.sync()
    expect(asked).toEqual({ syncs: 1, cached: 0 })
  })

  it('is synced after whatever went through the page cache, and after it was cut', async () => {
    const { file, asked } = fileOf(new Target())
    await file.sync()
    await file.write([filled(100, 1)], 0)
    await file.sync()
    expect(asked).toEqual({ syncs: 2, cached: 1 })
    await file.truncate(50)
    await file.sync()
    expect(asked.syncs).toBe(3)
    // The system took a part of it past the page cache; the rest went through it.
    const target = new Target()
    target.mostBytes = 1000
    const partly = fileOf(target)
    await partly.file.sync()
    await partly.file.write([filled(BLOCK_BYTES, 1)], 0)
    await partly.file.sync()
    expect(partly.asked).toEqual({ syncs: 2, cached: 1 })
  })

  it('stays unsynced where a sync fails', async () => {
    const { file, asked } = fileOf(new Target(), 1)
    await expect(file.sync()).rejects.toThrow('EIO')
    await file.sync()
    expect(asked.syncs).toBe(2)
  })
})
