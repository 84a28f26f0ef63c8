/**
 * Takes the real clock, timers and randomness away while simulated code runs, so that nothing of the outside can get in
 * unnoticed. Node's own insides hold references of their own and go on working.
 */
const realDate = globalThis.Date
const realNow = performance.now.bind(performance)
const realMathRandom = Math.random

/** What the simulator itself needs of the real world. */
export const outside = {
  setImmediate: globalThis.setImmediate,
  setTimeout: globalThis.setTimeout,
  nextTick: process.nextTick.bind(process),
  queueMicrotask: globalThis.queueMicrotask,
  nowMs: realNow,
}

/** A simulated process reached past its Env. */
export class OutsideReachedError extends Error {
  override readonly name = 'OutsideReachedError'
  constructor(what: string) {
    super(`simulated code called ${what}; everything of the outside comes through Env`)
  }
}

const forbidden = (what: string) => (): never => {
  throw new OutsideReachedError(what)
}

function poisonedDate(): DateConstructor {
  const date = function (this: unknown, ...args: unknown[]): unknown {
    if (args.length === 0 || new.target === undefined)
      throw new OutsideReachedError('new Date() without a time')
    return Reflect.construct(realDate, args, new.target === date ? realDate : (new.target as typeof Date))
  } as unknown as DateConstructor & { prototype: Date; now: () => number }
  date.prototype = realDate.prototype
  date.now = forbidden('Date.now()')
  date.parse = realDate.parse.bind(realDate)
  date.UTC = realDate.UTC.bind(realDate)
  return date
}

const timerNames = ['setTimeout', 'setInterval', 'setImmediate'] as const
const realTimers = Object.fromEntries(timerNames.map((name) => [name, globalThis[name]]))
const poisonedTimers = Object.fromEntries(timerNames.map((name) => [name, forbidden(`${name}()`)]))
const poisoned = { Date: poisonedDate(), ...poisonedTimers }
const real = { Date: realDate, ...realTimers }

const realRandomUUID = crypto.randomUUID.bind(crypto)
const realGetRandomValues = crypto.getRandomValues.bind(crypto)
const realHrtime = process.hrtime

export function poison(): void {
  Object.assign(globalThis, poisoned)
  Math.random = forbidden('Math.random()')
  performance.now = forbidden('performance.now()')
  crypto.randomUUID = forbidden('crypto.randomUUID()')
  crypto.getRandomValues = forbidden('crypto.getRandomValues()')
  process.hrtime = Object.assign(forbidden('process.hrtime()'), {
    bigint: forbidden('process.hrtime.bigint()'),
  })
}

export function cure(): void {
  Object.assign(globalThis, real)
  Math.random = realMathRandom
  performance.now = realNow
  crypto.randomUUID = realRandomUUID
  crypto.getRandomValues = realGetRandomValues
  process.hrtime = realHrtime
}
