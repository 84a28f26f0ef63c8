import type { Random } from '../../src/env/index.ts'
import type { RandomStream } from '../core/random.ts'

/** What a process of the simulation draws for itself. */
export class SimRandom implements Random {
  readonly #stream: RandomStream

  constructor(stream: RandomStream) {
    this.#stream = stream
  }

  below(bound: number): number {
    return this.#stream.below(bound)
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#stream.below(256))
  }
}
