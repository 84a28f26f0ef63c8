import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Lives } from '../../../src/broker/membership/lives.ts'
import { nodeEnv } from '../../../src/env/node/index.ts'
import { asGroupId } from '../../../src/log/types.ts'

const { files } = nodeEnv({ level: 'silent' }).disk
let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'flotilla-lives-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe('the lives that a node has in its groups', () => {
  it('stop a start where the file isn’t what was written, whichever byte it is', async () => {
    await (await Lives.open(files, directory)).raise(asGroupId(7), 3)
    const path = join(directory, 'lives')
    const written = await readFile(path)
    for (let at = 0; at < written.length - 1; at++) {
      const damaged = Buffer.from(written)
      damaged[at] = damaged[at]! ^ 1
      await writeFile(path, damaged)
      await expect(Lives.open(files, directory)).rejects.toThrow(/is damaged/)
    }
    await writeFile(path, written.subarray(0, 12))
    await expect(Lives.open(files, directory)).rejects.toThrow(/is damaged/)
  })

  it('are there after a start, also where several were raised at once', async () => {
    const lives = await Lives.open(files, directory)
    expect(lives.of(asGroupId(7))).toBe(0)
    await Promise.all([1, 2, 3].map((group) => lives.raise(asGroupId(group), group * 10)))
    const again = await Lives.open(files, directory)
    expect([1, 2, 3, 4].map((group) => again.of(asGroupId(group)))).toEqual([10, 20, 30, 0])
    expect(await readdir(directory)).toEqual(['lives'])
  })

  it('are not written any more once they are closed: the folder may be another process’s then', async () => {
    const lives = await Lives.open(files, directory)
    const raising = lives.raise(asGroupId(1), 5)
    await lives.close()
    await rm(directory, { recursive: true })
    await raising
    await expect(lives.raise(asGroupId(1), 6)).rejects.toThrow('are closed')
    await expect(readdir(directory)).rejects.toThrow('ENOENT')
  })

  it('never go back', async () => {
    const lives = await Lives.open(files, directory)
    await lives.raise(asGroupId(1), 5)
    await lives.raise(asGroupId(1), 4)
    expect(lives.of(asGroupId(1))).toBe(5)
    expect((await Lives.open(files, directory)).of(asGroupId(1))).toBe(5)
  })
})
