import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** What the process can tell and do; injected, so that the decision can be tested. */
export interface MemoryOfProcess {
  /** CPU that the process has used, in microseconds. */
  cpuMicros(): number
  /** Bytes in use on the heap, garbage included. */
  heapUsedBytes(): number
  /** Frees all garbage. Takes a millisecond or two for each megabyte that stays. */
  collect(): void
}

export const lookEveryMs = 10_000
/** A process that used less of a core since the last look is idle. */
const idlePercentOfCore = 5
/** So much more than after the last collection is worth another one. */
const worthBytes = 16 * 1024 * 1024

/**
 * Gives back what a busy time left behind. The heap may grow to a multiple of what lives in it before V8 collects
 * (bin/flotilla.js says why), and a process that does nothing more never gets there: a node with thousands of quiet groups
 * would keep several times what it needs.
 */
export class IdleMemory {
  readonly #process: MemoryOfProcess
  #cpuMicros: number
  #leftBytes = 0
  /** The collection before found garbage, and only another one gives its pages back to the system. */
  #isHalfDone = false

  constructor(process: MemoryOfProcess) {
    this.#process = process
    this.#cpuMicros = process.cpuMicros()
  }

  /** Every `lookEveryMs`. True where it collected. */
  look(): boolean {
    const cpuMicros = this.#process.cpuMicros()
    const usedMicros = cpuMicros - this.#cpuMicros
    this.#cpuMicros = cpuMicros
    if (usedMicros > lookEveryMs * 1000 * (idlePercentOfCore / 100)) return false
    const isWorth = this.#process.heapUsedBytes() - this.#leftBytes >= worthBytes
    if (!isWorth && !this.#isHalfDone) return false
    // Not both at once: a pause must stay well below an election timeout.
    this.#isHalfDone = isWorth
    this.#process.collect()
    this.#leftBytes = this.#process.heapUsedBytes()
    // What the collection took is not what the process does.
    this.#cpuMicros = this.#process.cpuMicros()
    return true
  }
}

/** Looks now and then for as long as the process runs; keeps nothing from ending it. */
export function giveBackIdleMemory(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  setFlagsFromString('--no-expose-gc')
  const memory = new IdleMemory({
    cpuMicros: () => {
      const { user, system } = process.cpuUsage()
      return user + system
    },
    heapUsedBytes: () => process.memoryUsage().heapUsed,
    collect,
  })
  setInterval(() => memory.look(), lookEveryMs).unref()
}
