/** The caller's own signal ended the call. `cause` is the signal's reason. */
export class AbortError extends Error {
  override readonly name = 'AbortError'
  readonly code = 'ABORT_ERR'
  constructor(cause: unknown) {
    super('the call was aborted by its signal', { cause })
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new AbortError(signal.reason)
}

/** Calls `listener` when the signal aborts; the returned function takes that back. */
export function onAbort(signal: AbortSignal | undefined, listener: (error: AbortError) => void): () => void {
  if (signal === undefined) return () => {}
  const tell = (): void => listener(new AbortError(signal.reason))
  signal.addEventListener('abort', tell, { once: true })
  return () => signal.removeEventListener('abort', tell)
}

/** The promise, or AbortError as soon as the signal aborts; the promise's own work goes on. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new AbortError(signal.reason))
    const unlink = onAbort(signal, reject)
    promise.then(resolve, reject).finally(unlink)
  })
}
