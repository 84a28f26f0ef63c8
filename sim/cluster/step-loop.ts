import type { Timeline } from '../env/timeline.ts'
import { cure, outside, poison } from './poison.ts'

/** So often the real event loop gets its turn: for unhandled rejections, the test runner, the progress bar. */
const EVENTS_PER_SLICE = 4096

/** Its reactions are microtasks; queueMicrotask would make an AsyncResource for each. */
const settled = Promise.resolve()

/**
 * Runs events until `isDone`, or none is left up to `untilUs`. After each one, everything that its promises set off runs to
 * the end before the next begins: a callback for the next tick, asked for from a microtask, comes when no microtask is
 * left. That costs a fraction of a turn of the event loop.
 */
export function runEvents(
  timeline: Timeline,
  untilUs: number,
  isDone: () => boolean,
  onCrash: (error: unknown) => void,
): Promise<void> {
  return new Promise((resolve) => {
    let left = EVENTS_PER_SLICE
    const finish = (): void => {
      cure()
      // Rejections that nobody handled are told between turns.
      outside.setImmediate(() => resolve())
    }
    const step = (): void => {
      try {
        if (isDone() || !timeline.runNext(untilUs)) return finish()
      } catch (error) {
        onCrash(error)
      }
      // Not from here: what the event set off has to run before.
      void settled.then(--left > 0 ? soon : soonRest)
    }
    const soon = (): void => outside.nextTick(step)
    const soonRest = (): void => outside.nextTick(rest)
    const rest = (): void => {
      cure()
      outside.setImmediate(() => {
        left = EVENTS_PER_SLICE
        poison()
        step()
      })
    }
    outside.setImmediate(() => {
      poison()
      step()
    })
  })
}
