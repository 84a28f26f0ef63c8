import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Disk, KeyRange, Store } from '../../src/env/index.ts'
import { BLOCK_BYTES, StoreLockedError } from '../../src/env/index.ts'

export interface DiskUnderTest {
  readonly disk: Disk
  /** An existing, empty directory. */
  readonly directory: string
  dispose(): Promise<void>
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const hex = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString('hex')
const everything: KeyRange = { gte: bytes(), lt: bytes(0xff) }

async function pairsOf(store: Store, range: KeyRange = everything): Promise<string[]> {
  const pairs: string[] = []
  for await (const [key, value] of store.iterate(range)) pairs.push(`${hex(key)}=${hex(value)}`)
  return pairs
}

/** What every Disk must do, whatever it is made of. */
export function describeDisk(name: string, make: () => Promise<DiskUnderTest>): void {
  let under: DiskUnderTest
  beforeEach(async () => {
    under = await make()
  })
  afterEach(() => under.dispose())

  describe(`${name}: a store`, () => {
    let store: Store
    beforeEach(async () => {
      store = await under.disk.openStore(`${under.directory}/store`)
    })
    afterEach(() => store.close())

    const put = (key: Uint8Array, value: Uint8Array) => ({ type: 'put', key, value }) as const
    const del = (key: Uint8Array) => ({ type: 'del', key }) as const

    it('refuses to be opened twice and names the folder', async () => {
      const second = under.disk.openStore(`${under.directory}/store`)
      await expect(second).rejects.toThrow(StoreLockedError)
      await expect(second).rejects.toThrow(`${under.directory}/store`)
    })

    it('can be opened again after it was closed, and has what was written', async () => {
      await store.batch([put(bytes(1), text('one'))], { sync: true })
      await store.close()
      store = await under.disk.openStore(`${under.directory}/store`)
      expect(hex(await store.get(bytes(1)))).toBe(hex(text('one')))
    })

    it('may be closed twice', async () => {
      await store.close()
      await store.close()
    })

    it('says undefined for a key that is not there', async () => {
      expect(await store.get(bytes(9))).toBeUndefined()
    })

    it('keeps an empty value', async () => {
      await store.batch([put(bytes(1), bytes())], { sync: false })
      expect(hex(await store.get(bytes(1)))).toBe('')
    })

    it('orders keys by their bytes, a prefix first', async () => {
      const keys = [bytes(0xfe), bytes(2), bytes(1, 0xff), bytes(1), bytes(1, 0), bytes(0x80), bytes(0)]
      await store.batch(
        keys.map((key) => put(key, bytes(7))),
        { sync: false },
      )
      expect(await pairsOf(store)).toEqual([
        '00=07',
        '01=07',
        '0100=07',
        '01ff=07',
        '02=07',
        '80=07',
        'fe=07',
      ])
    })

    it('applies a batch in order, the last word on a key being valid', async () => {
      await store.batch([put(bytes(1), bytes(1)), put(bytes(2), bytes(1))], { sync: true })
      await store.batch([put(bytes(1), bytes(2)), del(bytes(1)), del(bytes(2)), put(bytes(2), bytes(3))], {
        sync: true,
      })
      expect(await pairsOf(store)).toEqual(['02=03'])
    })

    it('takes an empty batch and the deletion of what is not there', async () => {
      await store.batch([], { sync: true })
      await store.batch([del(bytes(3))], { sync: true })
      expect(await pairsOf(store)).toEqual([])
    })

    it('does not notice when a caller reuses its buffers afterwards', async () => {
      const key = bytes(1)
      const value = bytes(5)
      const written = store.batch([put(key, value)], { sync: false })
      await written
      key.fill(0xee)
      value.fill(0xee)
      const read = await store.get(bytes(1))
      expect(hex(read)).toBe('05')
      read!.fill(0xdd)
      expect(hex(await store.get(bytes(1)))).toBe('05')
    })

    it('reads ranges forwards and backwards, up to a limit', async () => {
      await store.batch(
        [1, 2, 3, 4, 5].map((n) => put(bytes(n), bytes(n))),
        { sync: false },
      )
      const range = { gte: bytes(2), lt: bytes(5) }
      expect(await pairsOf(store, range)).toEqual(['02=02', '03=03', '04=04'])
      expect(await pairsOf(store, { ...range, reverse: true })).toEqual(['04=04', '03=03', '02=02'])
      expect(await pairsOf(store, { ...range, limit: 2 })).toEqual(['02=02', '03=03'])
      expect(await pairsOf(store, { ...range, limit: 1, reverse: true })).toEqual(['04=04'])
      expect(await pairsOf(store, { ...range, limit: 0 })).toEqual([])
      expect(await pairsOf(store, { gte: bytes(6), lt: bytes(9) })).toEqual([])
      expect(await pairsOf(store, { gte: bytes(4), lt: bytes(4) })).toEqual([])
    })

    it('iterates over what was there when it began', async () => {
      await store.batch([put(bytes(1), bytes(1)), put(bytes(2), bytes(1))], { sync: false })
      const seen: string[] = []
      for await (const [key] of store.iterate(everything)) {
        seen.push(hex(key)!)
        await store.batch([del(bytes(2)), put(bytes(3), bytes(1))], { sync: false })
      }
      expect(seen).toEqual(['01', '02'])
      expect(await pairsOf(store)).toEqual(['01=01', '03=01'])
    })

    it('iterates over more than one chunk, and may be left early', async () => {
      const count = 2500
      const value = new Uint8Array(300).fill(1)
      const key = (n: number): Uint8Array => bytes(n >> 8, n & 0xff)
      await store.batch(
        Array.from({ length: count }, (_, n) => put(key(n), value)),
        { sync: false },
      )
      let n = 0
      for await (const [found] of store.iterate(everything)) expect(hex(found)).toBe(hex(key(n++)))
      expect(n).toBe(count)
      for await (const [found] of store.iterate(everything)) {
        expect(hex(found)).toBe(hex(key(0)))
        break
      }
    })

    it('clears a range and nothing beside it', async () => {
      await store.batch(
        [1, 2, 3, 4].map((n) => put(bytes(n), bytes(n))),
        { sync: false },
      )
      await store.clear({ gte: bytes(2), lt: bytes(4) })
      expect(await pairsOf(store)).toEqual(['01=01', '04=04'])
    })
  })

  describe(`${name}: files`, () => {
    const path = (file: string): string => `${under.directory}/${file}`

    it('list nothing where there is no directory', async () => {
      expect(await under.disk.files.list(path('nowhere'))).toEqual([])
    })

    it('cannot be opened where their directory is not there', async () => {
      await expect(under.disk.files.open(path('nowhere/file'))).rejects.toThrow('ENOENT')
    })

    it('have sorted names', async () => {
      const { files } = under.disk
      await files.makeDirectory(path('a/b'))
      await files.makeDirectory(path('a/b'))
      for (const name of ['2', '10', '1']) await (await files.open(path(`a/${name}`))).close()
      expect(await files.list(path('a'))).toEqual(['1', '10', '2', 'b'])
      await files.syncDirectory(path('a'))
    })

    it('keep what is written, also when it comes in several chunks', async () => {
      const { files } = under.disk
      const file = await files.open(path('file'))
      expect(await file.sizeBytes()).toBe(0)
      await file.write([text('one '), bytes(), text('two')], 0)
      await file.write([text('TWO')], 4)
      await file.sync()
      await file.close()
      const again = await files.open(path('file'))
      expect(Buffer.from(await again.read(0, 100)).toString()).toBe('one TWO')
      expect(await again.sizeBytes()).toBe(7)
      await again.close()
    })

    it('take thousands of chunks in one write', async () => {
      const file = await under.disk.files.open(path('file'))
      await file.write(
        Array.from({ length: 5000 }, (_, n) => bytes(n & 0xff, n >> 8)),
        0,
      )
      expect(await file.sizeBytes()).toBe(10_000)
      expect(hex(await file.read(2 * 4999, 10))).toBe(hex(bytes(4999 & 0xff, 4999 >> 8)))
      await file.close()
    })

    it('keep whole blocks, whose writes may take another way, among bytes that were written before and after', async () => {
      const block = (value: number, count = 1): Uint8Array => new Uint8Array(count * BLOCK_BYTES).fill(value)
      const file = await under.disk.files.open(path('file'))
      const expected = new Uint8Array(20 * BLOCK_BYTES)
      const write = async (chunks: readonly Uint8Array[], position: number): Promise<void> => {
        await file.write(chunks, position)
        expected.set(Buffer.concat(chunks), position)
        const size = await file.sizeBytes()
        expect(Buffer.compare(await file.read(0, size), expected.subarray(0, size))).toBe(0)
      }
      await write([text('not on a block')], 100)
      await write([block(1).subarray(7), block(2).subarray(0, 7), block(3, 2)], BLOCK_BYTES)
      await write([block(4)], 9 * BLOCK_BYTES)
      await write([text('over all of it')], 2 * BLOCK_BYTES - 5)
      await write([block(5, 3)], BLOCK_BYTES)
      await write([block(6), text('tail')], 12 * BLOCK_BYTES)
      await write([block(7, 2)], 12 * BLOCK_BYTES)
      await file.sync()
      await file.truncate(13 * BLOCK_BYTES + 10)
      expected.fill(0, 13 * BLOCK_BYTES + 10)
      await write([block(8)], 14 * BLOCK_BYTES)
      await file.close()
    })

    it('read fewer bytes at their end, and none beyond it', async () => {
      const file = await under.disk.files.open(path('file'))
      await file.write([text('abc')], 0)
      expect(Buffer.from(await file.read(1, 10)).toString()).toBe('bc')
      expect(await file.read(3, 10)).toHaveLength(0)
      expect(await file.read(30, 10)).toHaveLength(0)
      await file.close()
    })

    it('have zeros between their old end and a write beyond it', async () => {
      const file = await under.disk.files.open(path('file'))
      await file.write([bytes(1)], 0)
      await file.write([bytes(2)], 3)
      expect(hex(await file.read(0, 10))).toBe('01000002')
      await file.close()
    })

    it('can be cut and written anew', async () => {
      const file = await under.disk.files.open(path('file'))
      await file.write([text('abcdef')], 0)
      await file.truncate(2)
      expect(await file.sizeBytes()).toBe(2)
      await file.write([text('X')], 3)
      expect(hex(await file.read(0, 10))).toBe(hex(bytes(0x61, 0x62, 0, 0x58)))
      await file.close()
    })

    it('can be removed, and a reader that has one open goes on reading', async () => {
      const { files } = under.disk
      const file = await files.open(path('file'))
      await file.write([text('still here')], 0)
      await files.remove(path('file'))
      await files.remove(path('file'))
      expect(await files.list(under.directory)).toEqual([])
      expect(Buffer.from(await file.read(0, 100)).toString()).toBe('still here')
      await file.close()
    })

    it('can get another name, alone or with their directory', async () => {
      const { files } = under.disk
      for (const name of ['a/b', 'c']) await files.makeDirectory(path(name))
      const file = await files.open(path('a/b/file'))
      await file.write([text('moved')], 0)
      await file.close()
      await files.rename(path('a/b'), path('c/d'))
      expect(await files.list(path('a'))).toEqual([])
      expect(await files.list(path('c/d'))).toEqual(['file'])
      await files.rename(path('c/d/file'), path('c/other'))
      expect(await files.list(path('c/d'))).toEqual([])
      const moved = await files.open(path('c/other'))
      expect(Buffer.from(await moved.read(0, 100)).toString()).toBe('moved')
      await moved.close()
      await expect(files.rename(path('nothing'), path('else'))).rejects.toThrow('ENOENT')
    })

    it('go with their directory', async () => {
      const { files } = under.disk
      await files.makeDirectory(path('a/b'))
      await (await files.open(path('a/b/file'))).close()
      await (await files.open(path('ab'))).close()
      await files.removeDirectory(path('a'))
      await files.removeDirectory(path('a'))
      expect(await files.list(under.directory)).toEqual(['ab'])
    })
  })
}
