import { describe, expect, it } from 'vitest'
import type { File, Files } from '../../src/env/index.ts'
import { DurableTurnFile } from '../../src/log/durable-turn.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'

const NOTE_BYTES = 24

/** Files of which so many bytes are written yet; the write that has no room for all of its own is cut off, and fails. */
function cutAfter(files: Pick<Files, 'open'>, bytes: number): Pick<Files, 'open'> {
  let left = bytes
  const open = async (path: string): Promise<File> => {
    const file = await files.open(path)
    return {
      sizeBytes: () => file.sizeBytes(),
      read: (position, length) => file.read(position, length),
      sync: () => file.sync(),
      truncate: (length) => file.truncate(length),
      close: () => file.close(),
      async write(chunks, position) {
        const all = Buffer.concat([...chunks])
        const kept = all.subarray(0, left)
        left -= kept.length
        await file.write([kept], position)
        if (kept.length < all.length) throw new Error('cut off')
      },
    }
  }
  return { open }
}

/** A process that reads the note and then makes another, for which the disk writes so many bytes. */
async function noted(files: Files, turn: number, bytes: number): Promise<number> {
  const note = await DurableTurnFile.open(cutAfter(files, bytes), '/data')
  const known = await note.read()
  await note
    .prepare()
    .then(() => note.write(turn, { sync: false }))
    .catch(() => undefined)
  return known
}

describe('the note of the last turn', () => {
  it('outlives two writes in a row that were cut off, wherever it was', async () => {
    for (let first = 0; first <= NOTE_BYTES; first++) {
      for (let second = 0; second <= 2 * NOTE_BYTES; second++) {
        const { files } = memoryDisk()
        await files.makeDirectory('/data')
        await noted(files, 1, 2 * NOTE_BYTES)
        await noted(files, 2, first)
        await noted(files, 3, second)
        const known = await noted(files, 4, 0)
        expect([1, 2, 3]).toContain(known)
      }
    }
  })

  it('says that there was none yet where the first one of all was cut off, wherever it was', async () => {
    for (let first = 0; first < 2 * NOTE_BYTES; first++) {
      const { files } = memoryDisk()
      await files.makeDirectory('/data')
      await noted(files, 1, first)
      const known = await noted(files, 2, 2 * NOTE_BYTES)
      expect([0, 1]).toContain(known)
      expect(await noted(files, 3, 0)).toBe(2)
    }
  })

  it('that lost both copies says so', async () => {
    const { files } = memoryDisk()
    await files.makeDirectory('/data')
    await noted(files, 1, 2 * NOTE_BYTES)
    const file = await files.open('/data/turn')
    await file.write([Uint8Array.of(0xff)], 3)
    await file.write([Uint8Array.of(0xff)], 15)
    await expect(noted(files, 2, 0)).rejects.toThrow("isn't what the node wrote")
  })
})
