import type { CliContext, Output } from './context.ts'
import { cut } from './format.ts'

export interface Progress extends Disposable {
  /** Takes the line away, so that other text can be written; it comes back by itself. */
  clear(): void
}

const refreshMs = 200
const eraseLine = '\r\u001b[2K'

/** Keeps a line of `text` up to date at the bottom of a terminal, from `afterMs` on; elsewhere it does nothing. */
export function showProgress(
  context: Pick<CliContext, 'sleep'>,
  output: Output,
  text: () => string,
  afterMs = 2000,
): Progress {
  let shown = false
  const ended = new AbortController()
  const clear = (): void => {
    if (shown) output.write(eraseLine)
    shown = false
  }
  const run = async (): Promise<void> => {
    await context.sleep(afterMs, ended.signal)
    while (!ended.signal.aborted) {
      output.write(`${eraseLine}${cut(text(), output.columns - 1)}`)
      shown = true
      await context.sleep(refreshMs, ended.signal)
    }
  }
  if (output.isTTY) void run()
  return {
    clear,
    [Symbol.dispose]: () => {
      ended.abort()
      clear()
    },
  }
}
