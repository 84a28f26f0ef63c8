/** What `source` gives until `stop` is aborted; then it ends, also where the next piece is still awaited. */
export async function* stoppable<T>(
  source: AsyncIterable<T>,
  stop: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  let wake: (() => void) | undefined
  const onStop = (): void => wake?.()
  stop.addEventListener('abort', onStop)
  let waiting = false
  try {
    while (!stop.aborted) {
      waiting = true
      // Not Promise.race with one promise for the stop: that would hold every piece until the end.
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        wake = () => resolve(undefined)
        iterator.next().then(resolve, reject)
      })
      if (next === undefined) return
      waiting = false
      if (next.done === true) return
      yield next.value
    }
  } finally {
    stop.removeEventListener('abort', onStop)
    // While a piece is awaited this would wait for it too; what the source holds ends with the process.
    if (!waiting) await iterator.return?.()
  }
}
