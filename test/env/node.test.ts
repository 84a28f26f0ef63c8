import { describe, expect, it } from 'vitest'
import { nodeClock } from '../../src/env/node/clock.ts'
import { prettyLine } from '../../src/env/node/logger.ts'
import { nodeRandom } from '../../src/env/node/random.ts'

describe('the clock', () => {
  it('never calls what was cancelled, also when cancelled again later', async () => {
    const clock = nodeClock()
    const calls: string[] = []
    const cancel = clock.setTimer(0, () => calls.push('cancelled'))
    cancel()
    await new Promise<void>((resolve) => {
      clock.setTimer(1, resolve)
    })
    cancel()
    expect(calls).toEqual([])
  })

  it('takes a delay beyond what Node takes without firing at once', async () => {
    const clock = nodeClock()
    let fired = false
    const cancel = clock.setTimer(2 ** 40, () => (fired = true))
    await new Promise<void>((resolve) => {
      clock.setTimer(5, resolve)
    })
    cancel()
    expect(fired).toBe(false)
  })

  it('does what was deferred after what is already waiting', async () => {
    const clock = nodeClock()
    const order: string[] = []
    const deferred = new Promise<void>((resolve) => {
      clock.defer(() => {
        order.push('deferred')
        resolve()
      })
    })
    queueMicrotask(() => order.push('microtask'))
    order.push('now')
    await deferred
    expect(order).toEqual(['now', 'microtask', 'deferred'])
  })
})

describe('randomness', () => {
  it('stays below its bound, at both ends of what is allowed', () => {
    const random = nodeRandom()
    expect(random.below(1)).toBe(0)
    for (let i = 0; i < 100; i++) {
      const value = random.below(2 ** 32)
      expect(Number.isInteger(value) && value >= 0 && value < 2 ** 32).toBe(true)
    }
    expect(random.bytes(16)).toHaveLength(16)
  })
})

describe('a log line for a reader', () => {
  it('has the time of day, the level, the message and the fields', () => {
    const line = JSON.stringify({
      level: 'info',
      time: '2026-01-02T03:04:05.678Z',
      node: 'n1',
      detail: 'two words',
      count: 3,
      msg: 'the log is read',
    })
    expect(prettyLine(`${line}\n`)).toBe(
      '03:04:05.678 info  the log is read node=n1 detail="two words" count=3',
    )
  })

  it('is left as it is where it is no JSON', () => {
    expect(prettyLine('something else\n')).toBe('something else')
  })

  it('shows the stack of an error', () => {
    const line = JSON.stringify({
      level: 'error',
      msg: 'failed',
      err: { message: 'no', stack: 'Error: no\n  at x' },
    })
    expect(prettyLine(line)).toContain('Error: no\n  at x')
  })
})
