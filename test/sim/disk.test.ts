import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SimDrive } from '../../sim/env/disk/drive.ts'
import type { Disk, File, Store } from '../../src/env/index.ts'
import type { Life } from '../../sim/env/life.ts'
import { describeDisk } from '../env/disk-conformance.ts'
import { Bench } from './support.ts'

describeDisk('simulated', async () => {
  const bench = new Bench()
  const drive = bench.drive()
  const disk = drive.mount(bench.life('n1'))
  return { disk, directory: '/data', dispose: async () => bench.stop() }
})

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const put = (key: number, value: number) => ({ type: 'put', key: bytes(key), value: bytes(value) }) as const

let bench: Bench
let life: Life
beforeEach(() => {
  bench = new Bench()
})
afterEach(() => bench.stop())

/** What a new process sees of it; the one before has ended. */
function mount(drive: SimDrive): Disk {
  life = bench.life('n1')
  return drive.mount(life)
}

function end(drive: SimDrive, powerCut: boolean): void {
  life.end()
  drive.processEnded()
  if (powerCut) drive.powerLost()
}

/** Ends the process that wrote, in one way or the other, and opens the store anew. */
async function reopened(drive: SimDrive, powerCut: boolean): Promise<Store> {
  end(drive, powerCut)
  return mount(drive).openStore('/data')
}

const outcomes = async (
  run: (drive: SimDrive, attempt: number) => Promise<unknown>,
): Promise<Set<unknown>> => {
  const seen = new Set<unknown>()
  for (let attempt = 1; attempt <= 40; attempt++) {
    bench.stop()
    bench = new Bench(attempt)
    seen.add(await run(bench.drive(), attempt))
  }
  return seen
}

describe('a store after a power cut', () => {
  it('has every synced batch', async () => {
    const seen = await outcomes(async (drive) => {
      const store = await mount(drive).openStore('/data')
      for (let key = 0; key < 5; key++) await store.batch([put(key, 1)], { sync: true })
      const again = await reopened(drive, true)
      const values = await Promise.all([0, 1, 2, 3, 4].map((key) => again.get(bytes(key))))
      return values.every((value) => value !== undefined)
    })
    expect([...seen]).toEqual([true])
  })

  it('may lack unsynced batches, the newest first, each as a whole', async () => {
    const seen = await outcomes(async (drive) => {
      const store = await mount(drive).openStore('/data')
      await store.batch([put(1, 1), put(2, 1)], { sync: false })
      await store.batch([put(3, 1), put(4, 1)], { sync: false })
      const again = await reopened(drive, true)
      const values = await Promise.all([1, 2, 3, 4].map((key) => again.get(bytes(key))))
      return values.map((value) => (value === undefined ? '-' : 'x')).join('')
    })
    expect(seen).toEqual(new Set(['----', 'xx--', 'xxxx']))
  })

  it('keeps the batch that was under way as a whole or not at all', async () => {
    const seen = await outcomes(async (drive) => {
      const store = await mount(drive).openStore('/data')
      void store.batch([put(1, 1), put(2, 1)], { sync: true })
      const again = await reopened(drive, true)
      return [await again.get(bytes(1)), await again.get(bytes(2))].filter((value) => value !== undefined)
        .length
    })
    expect(seen).toEqual(new Set([0, 2]))
  })

  it('can have a hole where a write-ahead file ended unsynced', async () => {
    const big = new Uint8Array(40_000)
    const seen = await outcomes(async (drive) => {
      const store = await mount(drive).openStore('/data')
      await store.batch([{ type: 'put', key: bytes(9), value: big }], { sync: true })
      await store.batch([{ type: 'put', key: bytes(1), value: big }], { sync: false })
      await store.batch([put(2, 1)], { sync: true })
      const again = await reopened(drive, true)
      return `${(await again.get(bytes(1))) !== undefined} ${(await again.get(bytes(2))) !== undefined}`
    })
    expect(seen).toEqual(new Set(['false true', 'true true']))
  })
})

describe('a store whose process was killed', () => {
  it('has what was written, synced or not', async () => {
    const seen = await outcomes(async (drive) => {
      const store = await mount(drive).openStore('/data')
      await store.batch([put(1, 1)], { sync: false })
      const again = await reopened(drive, false)
      return (await again.get(bytes(1))) !== undefined
    })
    expect([...seen]).toEqual([true])
  })
})

describe('a store whose disk fails', () => {
  it('takes no more writes, and is whole at the next start', async () => {
    const drive = bench.drive()
    const store = await mount(drive).openStore('/data')
    await store.batch([put(1, 1)], { sync: true })
    drive.armError()
    await expect(store.batch([put(2, 1)], { sync: true })).rejects.toThrow('EIO')
    await expect(store.batch([put(3, 1)], { sync: true })).rejects.toThrow('EIO')
    const again = await reopened(drive, false)
    expect(await again.get(bytes(1))).toEqual(bytes(1))
    expect(await again.get(bytes(3))).toBeUndefined()
  })

  it('fails at the work that an error is armed for, and at no other', async () => {
    const drive = bench.drive()
    const store = await mount(drive).openStore('/data')
    const file = await mount(drive).files.open('/data/file')
    drive.armError('sync')
    await store.batch([put(1, 1)], { sync: true })
    await file.write([bytes(1)], 0)
    await expect(file.sync()).rejects.toThrow('EIO')
    await file.sync()
  })

  it('is full for a while', async () => {
    const drive = bench.drive()
    const store = await mount(drive).openStore('/data')
    drive.fullUntil(bench.timeline.nowUs + 1_000_000)
    await expect(store.batch([put(1, 1)], { sync: true })).rejects.toThrow('ENOSPC')
  })

  it('ends no write while it stalls', async () => {
    const drive = bench.drive()
    const store = await mount(drive).openStore('/data')
    const startUs = bench.timeline.nowUs
    drive.stallUntil(startUs + 3_000_000)
    await store.batch([put(1, 1)], { sync: true })
    expect(bench.timeline.nowUs).toBeGreaterThanOrEqual(startUs + 3_000_000)
  })
})

describe('a segment that rots', () => {
  it('has another bit for good, and none in what was synced last', async () => {
    const drive = bench.drive()
    const { files } = mount(drive)
    await files.makeDirectory('/data/segments/1')
    const file = await files.open('/data/segments/1/0000000001.seg')
    for (const directory of ['/data', '/data/segments', '/data/segments/1'])
      await files.syncDirectory(directory)
    const write = async (value: number, position: number): Promise<void> => {
      await file.write([new Uint8Array(8).fill(value)], position)
      await file.sync()
    }
    expect(drive.rot()).toBe(false)
    await write(0, 0)
    expect(drive.rot()).toBe(false)
    await write(0, 8)
    expect(drive.rot()).toBe(true)
    drive.processEnded()
    drive.powerLost()
    const again = await mount(drive).files.open('/data/segments/1/0000000001.seg')
    const bits = Array.from(await again.read(0, 16), (byte) => byte.toString(2).replaceAll('0', '').length)
    expect(bits.slice(0, 8).reduce((sum, count) => sum + count)).toBe(1)
    expect(bits.slice(8).reduce((sum, count) => sum + count)).toBe(0)
  })
})

describe('files after a power cut', () => {
  async function written(drive: SimDrive, sync: boolean): Promise<File> {
    const { files } = mount(drive)
    const file = await files.open('/data/file')
    await file.write([new Uint8Array(1024).fill(1)], 0)
    await file.sync()
    await files.syncDirectory('/data')
    await file.write([new Uint8Array(1024).fill(2)], 512)
    if (sync) await file.sync()
    end(drive, true)
    return mount(drive).files.open('/data/file')
  }

  it('have what was synced', async () => {
    const seen = await outcomes(async (drive) => {
      const file = await written(drive, true)
      const content = await file.read(0, 5000)
      return content.length === 1536 && content.subarray(512).every((value) => value === 2)
    })
    expect([...seen]).toEqual([true])
  })

  it('may have any sector of what was not, or lack it', async () => {
    const seen = await outcomes(async (drive) => {
      const file = await written(drive, false)
      const content = await file.read(0, 5000)
      expect(content.subarray(0, 512).every((value) => value === 1)).toBe(true)
      // A sector is old, new, or beyond the end.
      return [content[512], content[1024]].join()
    })
    expect(seen.has('1,')).toBe(true)
    expect(seen.has('2,2')).toBe(true)
    expect(seen.size).toBeGreaterThan(2)
  })

  it('may be gone where their directory was not synced', async () => {
    const seen = await outcomes(async (drive) => {
      const { files } = mount(drive)
      await (await files.open('/data/file')).close()
      end(drive, true)
      return (await mount(drive).files.list('/data')).length
    })
    expect(seen).toEqual(new Set([0, 1]))
  })

  it('have their old or their new name after a rename, never both or none', async () => {
    const seen = await outcomes(async (drive) => {
      const { files } = mount(drive)
      await (await files.open('/data/old')).close()
      await files.syncDirectory('/data')
      await files.rename('/data/old', '/data/new')
      end(drive, true)
      return (await mount(drive).files.list('/data')).join()
    })
    expect(seen).toEqual(new Set(['new', 'old']))
  })
})
