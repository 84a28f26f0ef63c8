// Appends four orders and prints where each one went.
import { connect, FlotillaError } from 'flotilla'

const client = connect() // FLOTILLA_BOOTSTRAP, else 127.0.0.1:7101

try {
  await client.topics.create('orders', { partitions: 3 })
} catch (error) {
  if (!(error instanceof FlotillaError && error.reason === 'TOPIC_EXISTS')) throw error
}

const orders = [
  { customer: 'ann', item: 'tea' },
  { customer: 'bob', item: 'coffee' },
  { customer: 'ann', item: 'cake' },
  { customer: 'cleo', item: 'tea' },
]

const producer = client.producer()
// Nothing waits for the one before it: the producer makes batches of them, and a customer's orders keep their order.
// Each `send` resolves once its record is on the disks of a majority of the replicas.
const acknowledged = await Promise.all(
  orders.map((order) =>
    producer.send({ topic: 'orders', key: order.customer, value: JSON.stringify(order) }),
  ),
)
for (const [index, { partition, offset }] of acknowledged.entries()) {
  console.log(`${orders[index]?.customer}: partition ${partition}, offset ${offset}`)
}

await client.close()
