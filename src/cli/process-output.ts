import type { Output } from './context.ts'

/** Standard output or standard error. `onClosed` is called when nobody takes any more (EPIPE). */
export function processOutput(
  stream: NodeJS.WriteStream,
  env: Readonly<Record<string, string | undefined>>,
  onClosed: () => void,
): Output {
  let closed = false
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // A disk that is full, say, isn't a reader who has seen enough.
    if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error
    closed = true
    onClosed()
  })
  const isTTY = stream.isTTY === true
  return {
    isTTY,
    colours: isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
    get columns() {
      // Some terminals say 0.
      return isTTY ? stream.columns || 80 : Infinity
    },
    get closed() {
      return closed
    },
    write: (text) => closed || stream.write(text),
    drained: () => (closed ? Promise.resolve() : new Promise((resolve) => stream.write('', () => resolve()))),
  }
}
