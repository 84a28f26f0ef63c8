// A handler charges every order, and stores its place. Does it charge each once, whatever happens?
//   node simulate.js           the first handler doesn't: the simulator finds out, and says how
//   node simulate.js mended    the second one does
import { simulate, SimulationError, type Self, type Workload } from 'flotilla/sim'

const ORDERS = 12
const text = new TextDecoder()

/** What the handler acts upon: not Flotilla, and not killed with the handler. */
class Bank {
  readonly charged: string[] = []
  readonly #keys = new Set<string>()

  charge(order: string, idempotencyKey?: string): void {
    if (idempotencyKey !== undefined) {
      if (this.#keys.has(idempotencyKey)) return
      this.#keys.add(idempotencyKey)
    }
    this.charged.push(order)
  }
}

type Charge = (bank: Bank, order: string, offset: number) => void

/** Goes through the orders from its place on: charges one, then commits. */
function handler(charge: Charge) {
  return async ({ client, act }: Self<Bank>): Promise<void> => {
    const place = client.producer()
    let next = 0
    const committed = { topic: 'places', untilEnd: true, consistency: 'linearizable' } as const
    for await (const { value } of client.reader(committed)) next = Number(text.decode(value))
    for await (const { offset, value } of client.reader({ topic: 'orders', from: { offset: next } })) {
      const order = text.decode(value)
      await act(`charge ${order}`, (bank) => charge(bank, order, offset))
      // Killed here, it has charged and doesn't know when it comes back.
      await place.send({ topic: 'places', value: String(offset + 1) })
    }
  }
}

async function shop({ client, sleep, random }: Self<Bank>): Promise<void> {
  const producer = client.producer()
  for (let number = 1; number <= ORDERS; number++) {
    await producer.send({ topic: 'orders', value: `order-${number}` })
    await sleep(random(800))
  }
}

const chargesOf = (bank: Bank, order: string): number => bank.charged.filter((each) => each === order).length

const workload = (charge: Charge): Workload<Bank> => ({
  topics: [{ name: 'orders' }, { name: 'places' }],
  outside: () => new Bank(),
  processes: { shop, handler: handler(charge) },
  // A shop that is killed would place its orders again: that is another program's problem.
  spared: ['shop'],
  always(bank) {
    const newest = bank.charged.at(-1)
    if (newest !== undefined && chargesOf(bank, newest) > 1) throw new Error(`${newest} is charged twice`)
  },
  isDone: (bank) => bank.charged.length >= ORDERS,
  atEnd(bank) {
    for (let number = 1; number <= ORDERS; number++) {
      if (chargesOf(bank, `order-${number}`) !== 1) throw new Error(`order-${number} is not charged`)
    }
  },
})

const actsBeforeItCommits: Charge = (bank, order) => bank.charge(order)
// The same request again is the same charge: the bank knows it by the order's place in the log, which never changes.
const namesItsCharge: Charge = (bank, order, offset) => bank.charge(order, `orders/0/${offset}`)

const charge = process.argv[2] === 'mended' ? namesItsCharge : actsBeforeItCommits
try {
  await simulate(workload(charge))
} catch (error) {
  if (!(error instanceof SimulationError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
