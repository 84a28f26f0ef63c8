import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { nodeDisk, withoutBytes } from '../../src/env/node/disk.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { describeDisk } from './disk-conformance.ts'

describeDisk('node', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'flotilla-disk-'))
  return { disk: nodeDisk(), directory, dispose: () => rm(directory, { recursive: true, force: true }) }
})

describeDisk('memory', async () => {
  const disk = memoryDisk()
  await disk.files.makeDirectory('/disk')
  return { disk, directory: '/disk', dispose: async () => {} }
})

describe('a write that the system took only in part', () => {
  const chunks = [Uint8Array.of(1, 2), Uint8Array.of(3), Uint8Array.of(4, 5)]
  const rest = (count: number): number[] => withoutBytes(chunks, count).flatMap((chunk) => [...chunk])

  it('goes on with the byte after the last one taken', () => {
    expect([0, 1, 2, 3, 4, 5].map(rest)).toEqual([[1, 2, 3, 4, 5], [2, 3, 4, 5], [3, 4, 5], [4, 5], [5], []])
  })
})
