import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { mostYoungBytes, YoungGeneration } from '../../src/cli/young-generation.ts'

const MIB = 1024 * 1024

class FakeSpace {
  size = MIB
  factors: number[] = []
  bytes(): number {
    return this.size
  }
  setGrowthFactor(factor: number): void {
    this.factors.push(factor)
  }
}

describe('the young generation of a node', () => {
  it('may grow to its limit and no further', () => {
    const space = new FakeSpace()
    const generation = new YoungGeneration(space)
    for (space.size = 2 * MIB; space.size < mostYoungBytes; space.size *= 2) generation.look()
    expect(space.factors).toEqual([2])
    generation.look()
    expect(space.factors).toEqual([2, 1])
  })

  it('is left as large as it is where it starts beyond the limit', () => {
    const space = new FakeSpace()
    space.size = 2 * mostYoungBytes
    new YoungGeneration(space)
    expect(space.factors).toEqual([1])
  })

  it('may grow again after V8 made it small in an idle time', () => {
    const space = new FakeSpace()
    space.size = mostYoungBytes
    const generation = new YoungGeneration(space)
    space.size = MIB
    generation.look()
    generation.look()
    expect(space.factors).toEqual([1, 2])
  })

  it('obeys in a real process, which fills it with objects that live for some collections', async () => {
    const script = `
      import { getHeapSpaceStatistics } from 'node:v8'
      import { limitYoungGeneration } from ${JSON.stringify(modulePath)}
      if (process.argv[1] === 'limited') limitYoungGeneration()
      let kept = []
      for (let round = 0; round < 600; round++) {
        for (let i = 0; i < 10_000; i++) {
          const made = { i, inner: { i } }
          if (i % 3 === 0) kept.push(made)
        }
        kept = kept.slice(-60_000)
        await new Promise((resolve) => setImmediate(resolve))
      }
      console.log(getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size)`
    const sizeOf = async (mode: string): Promise<number> => {
      const args = ['--import', 'tsx', '--input-type=module', '--eval', script, mode]
      const { stdout } = await promisify(execFile)(process.execPath, args)
      return Number(stdout)
    }
    // V8's own limit is what makes the test say something.
    expect(await sizeOf('free')).toBeGreaterThan(mostYoungBytes)
    expect(await sizeOf('limited')).toBeLessThanOrEqual(mostYoungBytes)
  })
})

const modulePath = fileURLToPath(new URL('../../src/cli/young-generation.ts', import.meta.url))
