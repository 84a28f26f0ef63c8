import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StoreOperation } from '../../src/env/index.ts'
import { StoreDamagedError } from '../../src/env/index.ts'
import { crc32c } from '../../src/env/node/crc32c.ts'
import { findLevelDamage } from '../../src/env/node/level-files.ts'
import { openLevelStore } from '../../src/env/node/store.ts'

describe('CRC-32C', () => {
  it('is what RFC 3720 and the catalogues say', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
    expect(crc32c(new Uint8Array(0))).toBe(0)
  })

  it('of a part is that of the same bytes alone, wherever it begins and ends', () => {
    const bytes = Uint8Array.from({ length: 40 }, (_, i) => i * 37)
    for (let from = 0; from < 20; from++) {
      for (let to = from; to <= 40; to++) expect(crc32c(bytes, from, to)).toBe(crc32c(bytes.slice(from, to)))
    }
  })
})

describe("LevelDB's files", () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'flotilla-level-'))
    // Three starts: each makes a table of the log before it.
    for (let run = 0; run < 3; run++) {
      const store = await openLevelStore(directory)
      const operations: StoreOperation[] = []
      for (let i = 0; i < 200; i++) {
        const key = Uint8Array.of(run, i)
        operations.push({ type: 'put', key, value: new Uint8Array(100).fill(i) })
      }
      await store.batch(operations, { sync: true })
      await store.close()
    }
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  const named = async (ending: string): Promise<string> => {
    const name = (await readdir(directory)).find((each) => each.endsWith(ending) || each.startsWith(ending))
    return join(directory, name!)
  }

  it('are fine as LevelDB leaves them, also where there is none yet', async () => {
    expect(await findLevelDamage(directory)).toBeUndefined()
    expect(await findLevelDamage(join(directory, 'nowhere'))).toBeUndefined()
  })

  it('are damaged with any bit of a table flipped', async () => {
    const path = await named('.ldb')
    const whole = await readFile(path)
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length * 8 - 1), async (bit) => {
        const bytes = Buffer.from(whole)
        bytes[bit >> 3]! ^= 1 << (bit & 7)
        await writeFile(path, bytes)
        expect(await findLevelDamage(directory)).toMatch(/\.ldb/)
      }),
      { numRuns: 300 },
    )
  })

  it('are damaged with a table that is another one, cut, or away', async () => {
    const tables = (await readdir(directory)).filter((name) => name.endsWith('.ldb'))
    const [first, second] = tables.map((name) => join(directory, name))
    const whole = await readFile(first!)
    await cp(second!, first!)
    expect(await findLevelDamage(directory)).toMatch("is another table than the store's")
    await writeFile(first!, whole.subarray(0, 1000))
    expect(await findLevelDamage(directory)).toBe(`${tables[0]} has 1000 bytes of ${whole.length}`)
    await rm(first!)
    expect(await findLevelDamage(directory)).toBe(`${tables[0]} isn't there`)
  })

  it('are damaged without CURRENT, or with one that names nothing that is there', async () => {
    const current = await named('CURRENT')
    await writeFile(current, 'MANIFEST-999999\n')
    expect(await findLevelDamage(directory)).toBe("CURRENT names MANIFEST-999999, which isn't there")
    await writeFile(current, 'nonsense')
    expect(await findLevelDamage(directory)).toBe('CURRENT names "nonsense"')
    await rm(current)
    expect(await findLevelDamage(directory)).toMatch('CURRENT is missing, and there are ')
  })

  it('are damaged with a bit of the manifest flipped, but may have lost the end of its last record', async () => {
    const path = await named('MANIFEST')
    const whole = await readFile(path)
    await writeFile(path, whole.subarray(0, whole.length - 3))
    expect(await findLevelDamage(directory)).toBeUndefined()
    const bytes = Buffer.from(whole)
    bytes[10]! ^= 1
    await writeFile(path, bytes)
    expect(await findLevelDamage(directory)).toMatch(/^MANIFEST-\d+: the record at 0 has a wrong checksum/)
  })

  it('that are damaged are not opened, and not one byte of them is changed', async () => {
    const path = await named('.ldb')
    const bytes = await readFile(path)
    bytes[50]! ^= 1
    await writeFile(path, bytes)
    const before = await contentOf(directory)
    const opening = openLevelStore(directory)
    await expect(opening).rejects.toThrow(StoreDamagedError)
    await expect(opening).rejects.toThrow(
      /the block at 0 has a wrong checksum; nothing was changed: move .* away/,
    )
    expect(await contentOf(directory)).toEqual(before)
  })

  async function contentOf(path: string): Promise<Map<string, string>> {
    const content = new Map<string, string>()
    for (const name of await readdir(path))
      content.set(name, (await readFile(join(path, name))).toString('hex'))
    return content
  }
})
