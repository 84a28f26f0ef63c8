import type { CliContext } from '../context.ts'
import { paint, type Style } from '../format.ts'
import { showProgress, type Progress } from '../progress.ts'

/** What the audience sees: numbered steps, lines below them, and on a terminal a line of progress. */
export class Narration {
  readonly #context: CliContext
  #step = 0
  #progress: Progress | undefined

  constructor(context: CliContext) {
    this.#context = context
  }

  title(text: string): void {
    this.#write(`${this.paint('bold', text)}\n`)
  }

  step(text: string): void {
    this.#step++
    this.#write(`\n${this.paint(['bold', 'cyan'], `${this.#step}  ${text}`)}\n`)
  }

  line(text: string): void {
    this.#write(`   ${text}\n`)
  }

  paint(style: Style, text: string): string {
    return paint(this.#context.stdout, style, text)
  }

  /** Shows `text` while `work` runs. */
  async during<T>(text: () => string, work: Promise<T>): Promise<T> {
    using progress = showProgress(this.#context, this.#context.stdout, () => `   ${text()}`, 300)
    this.#progress = progress
    try {
      return await work
    } finally {
      this.#progress = undefined
    }
  }

  #write(text: string): void {
    this.#progress?.clear()
    this.#context.stdout.write(text)
  }
}
