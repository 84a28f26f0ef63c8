// Handles orders as a member of the group "billing", until Ctrl-C. Start it twice: the two share the topic's partitions, and
// where one stops or dies the other goes on where it was.
import { AbortError, connect } from 'flotilla'

const client = connect() // FLOTILLA_BOOTSTRAP, else 127.0.0.1:7101
const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort())

const consumer = client.consume({ group: 'billing', topics: ['orders'], signal: interrupted.signal })
consumer.on('assigned', (partitions) => {
  for (const { partition, startOffset } of partitions)
    console.log(`assigned ${partition} from ${startOffset}`)
})
consumer.on('revoked', (partitions) => {
  for (const { partition } of partitions) console.log(`revoked ${partition}`)
})

const text = new TextDecoder()
try {
  // What the loop has come past is committed every second, when a partition moves, and at the end: at least once.
  for await (const { partition, offset, key, value } of consumer) {
    console.log(`${partition}/${offset}  ${text.decode(key)}  ${text.decode(value)}`)
  }
} catch (error) {
  if (!(error instanceof AbortError)) throw error
}

await client.close()
