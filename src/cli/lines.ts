/** A line of input without its end, and its number, counted from 1. */
export interface Line {
  readonly number: number
  readonly bytes: Uint8Array
}

export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError'
  readonly lineNumber: number
  readonly limitBytes: number
  constructor(lineNumber: number, limitBytes: number) {
    super(`line ${lineNumber} is longer than the limit of ${limitBytes} bytes`)
    this.lineNumber = lineNumber
    this.limitBytes = limitBytes
  }
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * Cuts a stream of bytes into lines. A line ends with LF or CR LF; a CR elsewhere belongs to the line. The last line
 * counts also without an end; an empty line is a line. Holds one line at most: throws LineTooLongError as soon as one
 * passes `limitBytes`, after the lines before it have been handed out.
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  limitBytes: number,
): AsyncGenerator<Line, void, undefined> {
  let number = 1
  let held: Uint8Array[] = []
  let heldBytes = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      const piece = chunk.subarray(start, end)
      const bytes = withoutReturn(held.length === 0 ? piece : Buffer.concat([...held, piece]))
      if (bytes.length > limitBytes) throw new LineTooLongError(number, limitBytes)
      yield { number, bytes }
      number++
      held = []
      heldBytes = 0
      start = end + 1
    }
    if (start < chunk.length) {
      // A copy: the stream may use its buffer again.
      held.push(new Uint8Array(chunk.subarray(start)))
      heldBytes += chunk.length - start
      // One more, for the CR of a line end that hasn't come whole.
      if (heldBytes > limitBytes + 1) throw new LineTooLongError(number, limitBytes)
    }
  }
  if (heldBytes === 0) return
  const bytes = Buffer.concat(held)
  if (bytes.length > limitBytes) throw new LineTooLongError(number, limitBytes)
  yield { number, bytes }
}

function withoutReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === carriageReturn ? bytes.subarray(0, -1) : bytes
}
