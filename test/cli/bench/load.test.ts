import { describe, expect, it } from 'vitest'
import { Load, type LoadTarget } from '../../../src/cli/bench/load.ts'

/** Time that moves when the test says so. */
class ManualTime {
  nowMs = 0
  readonly #sleepers = new Set<{ readonly wakeMs: number; readonly wake: () => void }>()
  readonly clock = {
    nowMs: () => this.nowMs,
    sleep: (delayMs: number, signal?: AbortSignal): Promise<void> => {
      if (signal?.aborted === true) return Promise.resolve()
      return new Promise((resolve) => {
        const sleeper = {
          wakeMs: this.nowMs + delayMs,
          wake: () => {
            this.#sleepers.delete(sleeper)
            signal?.removeEventListener('abort', sleeper.wake)
            resolve()
          },
        }
        this.#sleepers.add(sleeper)
        signal?.addEventListener('abort', sleeper.wake)
      })
    },
  }

  async pass(ms: number): Promise<void> {
    for (let step = 0; step < ms; step++) {
      this.nowMs++
      for (const sleeper of [...this.#sleepers]) if (sleeper.wakeMs <= this.nowMs) sleeper.wake()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

class ManualTarget implements LoadTarget {
  readonly sent: number[] = []
  readonly #waiting: ((error: unknown) => void)[] = []

  append(number: number, _intendedMs: number, settled: (error: unknown) => void): void {
    this.sent.push(number)
    this.#waiting.push(settled)
  }

  get waitingCount(): number {
    return this.#waiting.length
  }

  answer(count: number, error?: unknown): void {
    for (const settled of this.#waiting.splice(0, count)) settled(error)
  }
}

function loadOf(settings: {
  readonly inFlight: number
  readonly warmupInFlight?: number
  readonly ratePerSecond?: number
}) {
  const time = new ManualTime()
  const target = new ManualTarget()
  const load = new Load(time.clock, { ratePerSecond: undefined, ...settings }, target)
  return { time, target, load }
}

describe('a closed loop', () => {
  it('lets a slot rest whose record failed, and counts the error', async () => {
    const { time, target, load } = loadOf({ inFlight: 2 })
    load.start()
    load.openWindow()
    target.answer(1, new Error('down'))
    expect(target.sent).toEqual([0, 1])
    await time.pass(99)
    expect(target.sent).toEqual([0, 1])
    await time.pass(2)
    expect(target.sent).toEqual([0, 1, 2])
    load.closeWindow()
    expect(load.result()).toMatchObject({ errors: 3, firstError: 'down', acknowledged: 0 })
  })

  it('counts what is never answered as errors', async () => {
    const { time, target, load } = loadOf({ inFlight: 3 })
    load.start()
    load.openWindow()
    await time.pass(5)
    load.closeWindow()
    target.answer(1)
    const stopped = load.stop(50)
    await time.pass(51)
    await stopped
    expect(load.result()).toMatchObject({ errors: 3, firstError: 'no answer came' })
  })

  it('keeps so many in flight and sends the next with each answer', () => {
    const { target, load } = loadOf({ inFlight: 4 })
    load.start()
    expect(target.sent).toEqual([0, 1, 2, 3])
    target.answer(2)
    expect(target.sent).toEqual([0, 1, 2, 3, 4, 5])
    expect(target.waitingCount).toBe(4)
  })

  it('has more in flight until the warm-up ends', () => {
    const { target, load } = loadOf({ inFlight: 1, warmupInFlight: 3 })
    load.start()
    expect(target.waitingCount).toBe(3)
    load.endWarmup()
    target.answer(2)
    expect(target.sent).toEqual([0, 1, 2])
    target.answer(1)
    expect(target.sent).toEqual([0, 1, 2, 3])
    expect(target.waitingCount).toBe(1)
  })

  it('counts and times what happens within the window alone', async () => {
    const { time, target, load } = loadOf({ inFlight: 1 })
    load.start()
    await time.pass(10)
    load.openWindow()
    target.answer(1)
    await time.pass(7)
    target.answer(1)
    await time.pass(3)
    load.closeWindow()
    const stopped = load.stop(100)
    await time.pass(20)
    target.answer(1)
    await stopped
    // The first was sent before the window, the last answered after it.
    const result = load.result()
    expect(result.acknowledged).toBe(2)
    expect(result.seconds).toBe(0.01)
    expect(result.errors).toBe(0)
    expect(result.latency).toMatchObject({ count: 2, maxMs: 23 })
  })

  it('goes on with a target that answers at once, and lets others have a turn', async () => {
    let sent = 0
    const time = new ManualTime()
    const load: Load = new Load(
      time.clock,
      { inFlight: 1, ratePerSecond: undefined },
      {
        append: (_number, _intendedMs, settled) => {
          sent++
          if (sent === 100_000) void load.stop(1)
          settled(undefined)
        },
      },
    )
    load.start()
    expect(sent).toBe(512)
    while (sent < 100_000) await time.pass(1)
    await time.pass(5)
    expect(sent).toBe(100_000)
  })
})

describe('an open loop', () => {
  it('knows what is due and has no answer, whether it could be sent or not', async () => {
    const { time, target, load } = loadOf({ inFlight: 3, ratePerSecond: 100 })
    load.start()
    await time.pass(95)
    expect(target.sent).toHaveLength(3)
    expect(load.overdue).toBe(10)
    target.answer(3)
    expect(load.overdue).toBe(7)
    expect(loadOf({ inFlight: 3 }).load.overdue).toBe(0)
  })

  it('sends what is due, whatever the answers do', async () => {
    const { time, target, load } = loadOf({ inFlight: 100, ratePerSecond: 500 })
    load.start()
    expect(target.sent).toEqual([0])
    await time.pass(10)
    expect(target.sent).toHaveLength(6)
    const stopped = load.stop(1)
    target.answer(6)
    await stopped
    expect(load.result()).toMatchObject({ errors: 0, firstError: undefined })
  })

  it('counts latency from the time at which a record was due, though it left late', async () => {
    const { time, target, load } = loadOf({ inFlight: 1, ratePerSecond: 1000 })
    load.openWindow()
    load.start()
    await time.pass(9)
    // Room for one: the others waited here, from the millisecond on at which each was due.
    expect(target.sent).toEqual([0])
    for (let count = 0; count < 10; count++) target.answer(1)
    load.closeWindow()
    await load.stop(0)
    const { latency, sendDelay } = load.result()
    expect(latency).toMatchObject({ count: 10, maxMs: 9 })
    expect(latency?.meanMs).toBeCloseTo(4.5, 1)
    expect(sendDelay).toMatchObject({ count: 10, maxMs: 8 })
  })
})
