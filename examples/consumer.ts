// Prints the orders from the first one on, then waits for more; with --until-end it stops at the end.
import { AbortError, connect } from 'flotilla'

const client = connect() // FLOTILLA_BOOTSTRAP, else 127.0.0.1:7101
const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort())

const reader = client.reader({
  topic: 'orders',
  from: 'beginning', // or 'end', { offset: 42 }, { time: new Date('2025-01-01') }
  untilEnd: process.argv.includes('--until-end'),
  signal: interrupted.signal,
})

const text = new TextDecoder()
try {
  // Each partition in order; a node that is lost is replaced by another without a gap or a repeat.
  for await (const { partition, offset, key, value } of reader) {
    console.log(`${partition}/${offset}  ${text.decode(key)}  ${text.decode(value)}`)
  }
} catch (error) {
  if (!(error instanceof AbortError)) throw error
}

await client.close()
