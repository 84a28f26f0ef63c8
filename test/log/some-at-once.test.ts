import { describe, expect, it } from 'vitest'
import { someAtOnce } from '../../src/log/some-at-once.ts'

/** Work that ends when the test says so. */
class Work {
  readonly begun: number[] = []
  readonly #ends = new Map<number, { resolve(value: string): void; reject(error: Error): void }>()
  readonly do = (item: number): Promise<string> => {
    this.begun.push(item)
    return new Promise((resolve, reject) => this.#ends.set(item, { resolve, reject }))
  }
  async end(item: number, error?: Error): Promise<void> {
    if (error === undefined) this.#ends.get(item)!.resolve(`done ${item}`)
    else this.#ends.get(item)!.reject(error)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('some at once', () => {
  it('begins no more than it may, and gives the results in order', async () => {
    const work = new Work()
    const all = someAtOnce([1, 2, 3], 2, work.do)
    expect(work.begun).toEqual([1, 2])
    await work.end(2)
    expect(work.begun).toEqual([1, 2, 3])
    await work.end(3)
    await work.end(1)
    expect(await all).toEqual(['done 1', 'done 2', 'done 3'])
  })

  it('waits for what is under way when one fails, begins nothing more, and tells the first failure', async () => {
    const work = new Work()
    let told: unknown
    const all = someAtOnce([1, 2, 3, 4], 2, work.do).catch((error: unknown) => (told = error))
    await work.end(1, new Error('first'))
    expect(told).toBeUndefined()
    await work.end(2, new Error('second'))
    await all
    expect(told).toEqual(new Error('first'))
    expect(work.begun).toEqual([1, 2])
  })

  it('of nothing is nothing, and no number of workers is refused', async () => {
    expect(await someAtOnce([], 3, () => Promise.reject(new Error('never')))).toEqual([])
    await expect(someAtOnce([1], 0, () => Promise.resolve(1))).rejects.toThrow('log.some-at-once')
  })
})
