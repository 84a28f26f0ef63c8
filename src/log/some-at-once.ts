import { assert } from './assert.ts'

/**
 * Does `work` for each item, at most `most` at a time, and returns the results in the items' order. Waits for all that has
 * begun, also after one has failed, so that nothing is under way any more when the first failure is told; begins nothing after it.
 */
export async function someAtOnce<Item, Result>(
  items: readonly Item[],
  most: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  assert(Number.isSafeInteger(most) && most >= 1, 'log.some-at-once', () => `${most}`)
  const results: Result[] = []
  const failures: unknown[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const at = next++
      try {
        results[at] = await work(items[at]!)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(items.length, most) }, worker))
  if (failures.length > 0) throw failures[0]
  assert(
    results.length === items.length,
    'log.some-at-once-all',
    () => `${results.length} of ${items.length}`,
  )
  return results
}
