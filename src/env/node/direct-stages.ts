/** One read or write takes at most so much: an entry of a partition's usual limit, and a little more. */
export const STAGE_BYTES = 1024 * 1024 + 64 * 1024

/** The file system doesn't do O_DIRECT, or the memory isn't as it wants it. */
export function isDirectRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EINVAL' || error.code === 'ENOTSUP')
}

/**
 * Memory as O_DIRECT wants it, which begins on a page. V8 takes the memory of a buffer that may be resized from the system
 * page by page; where that should ever change the system refuses the write, and it goes through the page cache.
 */
export class DirectStages {
  readonly #count: number
  #free: Uint8Array[] | undefined
  readonly #waiting: ((stage: Uint8Array) => void)[] = []

  /** `count` pieces of memory, taken from the system when the first is needed. */
  constructor(count: number) {
    this.#count = count
  }

  /** Waits where all are taken; who writes many files at once has a bound of its own. */
  take(): Promise<Uint8Array> {
    this.#free ??= newStages(this.#count)
    const stage = this.#free.pop()
    if (stage !== undefined) return Promise.resolve(stage)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  giveBack(stage: Uint8Array): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free?.push(stage)
    else next(stage)
  }
}

function newStages(count: number): Uint8Array[] {
  const bytes = count * STAGE_BYTES
  const memory = new ArrayBuffer(bytes, { maxByteLength: bytes })
  return Array.from({ length: count }, (_, at) => new Uint8Array(memory, at * STAGE_BYTES, STAGE_BYTES))
}
