import { createServer } from 'node:net'
import { CommandFailure } from '../failure.ts'

const attempts = 50

/** The first of `count` ports of 127.0.0.1 that follow each other and are free now. */
export async function findFreePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const first = await tryPort(0)
    if (first === undefined || first + count - 1 > 65_535) continue
    let free = 1
    while (free < count && (await tryPort(first + free)) !== undefined) free++
    if (free === count) return first
  }
  throw new CommandFailure(`no ${count} free ports in a row were found; stop what takes so many of them`)
}

/** The port that was taken for a moment; undefined where it isn't free. */
function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(address === null || typeof address === 'string' ? undefined : address.port))
    })
  })
}
