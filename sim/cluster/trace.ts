import { crc32 } from 'node:zlib'

/** Folds everything that happens into 32 bits: two runs of a seed are the same if and only if this is. */
export class Trace {
  #digest = 0x811c9dc5
  /** The digest after every so many notes, so that the first difference between two runs is found at once. */
  readonly checkpoints: number[] = []
  #notes = 0
  readonly #names = new Map<string, number>()

  get digest(): string {
    return (this.#digest >>> 0).toString(16).padStart(8, '0')
  }

  get notes(): number {
    return this.#notes
  }

  number(value: number): void {
    this.#fold(value | 0)
    // The part beyond 32 bits, for times.
    if (value > 0xffff_ffff) this.#fold(Math.floor(value / 0x1_0000_0000))
  }

  text(value: string): void {
    this.#fold(crc32(value))
  }

  /** As text, for what comes again and again. */
  name(value: string): void {
    let code = this.#names.get(value)
    if (code === undefined) this.#names.set(value, (code = crc32(value)))
    this.#fold(code)
  }

  bytes(value: Uint8Array): void {
    this.#fold(crc32(value))
  }

  #fold(value: number): void {
    let digest = Math.imul(this.#digest ^ value, 0x9e3779b1)
    digest ^= digest >>> 15
    this.#digest = digest
    if (++this.#notes % 1024 === 0) this.checkpoints.push(digest >>> 0)
  }
}
