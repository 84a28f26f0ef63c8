/** Several runs of one thing: the middle one is quoted, and how far they lie apart is shown. Pure. */

export interface Spread {
  readonly min: number
  readonly max: number
}

/** The index of the middle value; of an even number, the lower one of the two in the middle. */
export function medianIndex(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('there is no median of nothing')
  const order = values.map((_, index) => index).sort((a, b) => values[a]! - values[b]!)
  return order[Math.floor((order.length - 1) / 2)]!
}

export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('there is no spread of nothing')
  let min = values[0]!
  let max = min
  for (const value of values) {
    if (value < min) min = value
    if (value > max) max = value
  }
  return { min, max }
}
