import { FlotillaError } from '../../wire/index.ts'

/** What the leader refuses one offset for; others that were asked for with it may be fine. */
const ABOUT_THE_OFFSET = new Set<string>(['OFFSET_OUT_OF_RANGE', 'COMMIT_BACKWARDS'])

interface Waiting {
  readonly offset: number
  readonly resolve: (committedOffset: number) => void
  readonly reject: (error: unknown) => void
}

/** Which of the offsets that wait, in their order, one commit answers. */
export interface JoinedCommit {
  readonly offset: number
  /** Places in what waits. */
  readonly places: readonly number[]
}

/**
 * The commit that does for as many of the offsets as it can: of the highest, with those that would have been committed on the
 * way there, one after the other. One that would have been refused, as it goes back behind `committed` or another that came
 * before it, isn't joined: it is asked for by itself, and refused with what the leader has to say. Pure.
 */
export function joinCommits(offsets: readonly number[], committed: number | undefined): JoinedCommit {
  const first = offsets[0]
  if (first === undefined) throw new RangeError('there is no commit of nothing')
  const least = Math.max(0, committed ?? 0)
  const places: number[] = []
  let highest = least
  for (const [place, offset] of offsets.entries()) {
    if (offset < highest) continue
    highest = offset
    places.push(place)
  }
  return places.length === 0 ? { offset: first, places: [0] } : { offset: highest, places }
}

/**
 * The commits of one member in one partition. One is under way at a time; those that come meanwhile go together as the next,
 * so that they cost one entry of the log, however many they are. How many may wait is bounded by the session, which reads its
 * stream no further.
 */
export class PartitionCommits {
  readonly #ask: (offset: number) => Promise<number>
  /** In the order in which they came, those that are under way among them. */
  #waiting: Waiting[] = []
  #committed: number | undefined
  #running: Promise<void> | undefined

  /** `ask` commits an offset and tells what is committed then; it rejects where that is refused or stays without an answer. */
  constructor(ask: (offset: number) => Promise<number>) {
    this.#ask = ask
  }

  /** So much is committed at least. */
  knows(committedOffset: number): void {
    this.#committed = Math.max(committedOffset, this.#committed ?? 0)
  }

  /** Tells what is committed then: this offset, or a higher one that was asked for after it. */
  commit(offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ offset, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Resolves when all have their answers. */
  async settled(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) await this.#commitNext()
    this.#running = undefined
  }

  async #commitNext(): Promise<void> {
    const { offset, places } = joinCommits(
      this.#waiting.map((each) => each.offset),
      this.#committed,
    )
    const joined = places.map((place) => this.#waiting[place]!)
    try {
      const committed = await this.#ask(offset)
      this.knows(committed)
      this.#settle(joined, ({ resolve }) => resolve(committed))
    } catch (error) {
      const isAboutTheOffset = error instanceof FlotillaError && ABOUT_THE_OFFSET.has(error.reason)
      const meant = joined.filter((each) => !isAboutTheOffset || each.offset === offset)
      this.#settle(meant, ({ reject }) => reject(error))
    }
  }

  #settle(settled: readonly Waiting[], settle: (each: Waiting) => void): void {
    const isSettled = new Set(settled)
    this.#waiting = this.#waiting.filter((each) => !isSettled.has(each))
    for (const each of settled) settle(each)
  }
}
