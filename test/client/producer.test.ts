import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { AbortError, type DeliveryReport, type ProducerOptions } from '../../src/client/index.ts'
import { FlotillaError, LIMITS } from '../../src/wire/index.ts'
import { clientOf, failureOf, offsetsOf, startBroker, valuesOf } from './fixture.ts'
import { until } from './fake-world.ts'
import type { FakeBroker } from './fake-broker.ts'

const record = (value: string) => ({ topic: 'orders', partition: 0, value })

/** Sends one after the other without waiting, and gives all promises. */
async function started(options: ProducerOptions = {}) {
  const broker = await startBroker()
  broker.addTopic('orders', 3)
  const client = clientOf(broker)
  return { broker, client, producer: client.producer(options) }
}
const sequencesOf = (broker: FakeBroker): number[] =>
  broker.attempts.map(({ append }) => append.producer!.sequence)

describe('a record that cannot be taken', () => {
  it('because it is too large fails alone, with its size and the limit', async () => {
    const { producer } = await started()
    const error = await failureOf(producer.send({ ...record(''), value: 'x'.repeat(LIMITS.maxRecordBytes) }))
    expect(error).toMatchObject({ reason: 'RECORD_TOO_LARGE', effect: 'none' })
    expect(error.message).toMatch(/10485\d\d bytes, the limit is 1048576/)
    const key = Buffer.alloc(LIMITS.maxKeyBytes + 1)
    expect((await failureOf(producer.send({ ...record('v'), key }))).reason).toBe('KEY_TOO_LARGE')
    expect((await failureOf(producer.send({ ...record('v'), routingKey: key }))).reason).toBe('KEY_TOO_LARGE')
    expect((await failureOf(producer.send({ ...record('v'), headers: { h: key } }))).reason).toBe(
      'HEADERS_TOO_LARGE',
    )
  })
  it('because its timestamp is none is refused', async () => {
    const { producer } = await started()
    const error = await failureOf(producer.send({ ...record('v'), timestamp: new Date(Number.NaN) }))
    expect(error.reason).toBe('INVALID_ARGUMENT')
  })
  it('because its topic or partition is not there is refused, and the next one goes', async () => {
    const { producer } = await started()
    expect((await failureOf(producer.send({ topic: 'nope', value: 'v' }))).reason).toBe('UNKNOWN_TOPIC')
    expect((await failureOf(producer.send({ topic: 'a b', value: 'v' }))).reason).toBe('INVALID_NAME')
    const error = await failureOf(producer.send({ ...record('v'), partition: 3 }))
    expect(error).toMatchObject({ reason: 'UNKNOWN_PARTITION' })
    expect(error.message).toContain('topic orders has no partition 3; it has 3')
    expect((await producer.send(record('v'))).offset).toBe(0)
  })
  it('because no node answers fails at the delivery timeout, without an effect', async () => {
    const { broker, producer } = await started({ deliveryTimeoutMs: 5000 })
    for (const node of ['n1', 'n2', 'n3']) broker.network.takeDown(`${node}:7101`)
    const error = await failureOf(producer.send(record('v')))
    expect(error).toMatchObject({ reason: 'UNREACHABLE', effect: 'none' })
    expect(broker.clock.nowMs()).toBeGreaterThanOrEqual(5000)
  })
  it('because its partition stays without a leader says so', async () => {
    const { broker, producer } = await started({ deliveryTimeoutMs: 5000 })
    broker.elect('orders', 0, undefined, true)
    const error = await failureOf(producer.send(record('v')))
    expect(error).toMatchObject({ reason: 'NO_LEADER', effect: 'none' })
    expect(error.message).toContain('partition 0 of topic orders within 5000 ms')
    broker.elect('orders', 0, 'n2', true)
    expect((await producer.send(record('w'))).offset).toBe(0)
  })
  it('because it was aborted before it left never leaves', async () => {
    const { broker, producer } = await started({ maxInFlightBytes: 1 })
    const controller = new AbortController()
    const first = producer.send(record('first'))
    const second = producer.send(record('second'), { signal: controller.signal })
    controller.abort(new Error('changed my mind'))
    await expect(second).rejects.toThrow(AbortError)
    await first
    expect((await producer.send(record('third'))).offset).toBe(1)
    expect(valuesOf(broker, 'orders')).toEqual(['first', 'third'])
    await expect(producer.send(record('x'), { signal: controller.signal })).rejects.toThrow(AbortError)
  })
  it('because the producer is closed or its options are out of range is refused', async () => {
    const { client, producer } = await started()
    await producer.close()
    expect((await failureOf(producer.send(record('v')))).message).toContain('the producer is closed')
    expect(() => client.producer({ maxInFlightBatches: 6 })).toThrow(
      'maxInFlightBatches is 6; it has to be 1 to 5',
    )
    expect(() => client.producer({ producerId: '' })).toThrow('producer id')
  })
})

describe('records keep their order and come once', () => {
  it('when the leader changes and the old one names the new one', async () => {
    const { broker, producer } = await started()
    await producer.send(record('a'))
    broker.elect('orders', 0, 'n3', false)
    expect((await producer.send(record('b'))).offset).toBe(1)
    expect(broker.attempts.map(({ node }) => node)).toEqual(['n1', 'n1', 'n3'])
  })
  it('when the leader dies with batches under way', async () => {
    const { broker, producer } = await started({ maxBatchRecords: 1 })
    let seen = 0
    broker.interfere = (_append, node) => {
      if (node === 'n1' && ++seen === 3) {
        broker.network.takeDown('n1:7101')
        broker.elect('orders', 0, 'n2', true)
        return 'append silently'
      }
      return undefined
    }
    const values = Array.from({ length: 20 }, (_, index) => `v${index}`)
    const acknowledged = await Promise.all(values.map((value) => producer.send(record(value))))
    expect(offsetsOf(acknowledged)).toEqual(values.map((_, index) => index))
    expect(valuesOf(broker, 'orders')).toEqual(values)
  })
  it('when the leader hangs with its connection open: another node is asked, and the new leader gets it', async () => {
    const { broker, producer } = await started()
    await producer.send(record('a'))
    broker.interfere = (_append, node) => (node === 'n1' ? 'stay silent' : undefined)
    const sentAtMs = broker.clock.nowMs()
    const sent = [producer.send(record('b')), producer.send(record('c'))]
    broker.clock.setTimer(1500, () => broker.elect('orders', 0, 'n2', false))
    expect(offsetsOf(await Promise.all(sent))).toEqual([1, 2])
    expect(broker.clock.nowMs() - sentAtMs).toBeLessThan(5000)
    expect(valuesOf(broker, 'orders')).toEqual(['a', 'b', 'c'])
  })
  it('when an append took effect but its answer was lost: the same sequence is answered as a duplicate', async () => {
    const { broker, producer } = await started()
    broker.interfere = () => {
      broker.interfere = () => undefined
      broker.clock.defer(() => broker.network.cut('n1:7101'))
      return 'append silently'
    }
    expect((await producer.send(record('once'))).offset).toBe(0)
    // The lost stream makes the next try go to another node, which names the leader.
    expect(
      broker.attempts.map(({ outcome }) => (typeof outcome === 'string' ? outcome : outcome.reason)),
    ).toEqual(['appended', 'NOT_LEADER', 'duplicate'])
    expect(valuesOf(broker, 'orders')).toEqual(['once'])
  })
  it('when the node throttles: the wait that it asks for is kept', async () => {
    const { broker, producer } = await started()
    let refusedAtMs = 0
    broker.interfere = () => {
      if (refusedAtMs > 0) return undefined
      refusedAtMs = broker.clock.nowMs()
      return new FlotillaError('THROTTLED', 'wait', { retryDelayMs: 3000 })
    }
    await producer.send(record('v'))
    expect(broker.clock.nowMs() - refusedAtMs).toBeGreaterThanOrEqual(3000)
    expect(broker.attempts.map(({ node }) => node)).toEqual(['n1', 'n1'])
  })
  it('when a batch in the middle is refused for now: those behind it wait for it', async () => {
    const { broker, producer } = await started({ maxBatchRecords: 1 })
    let refused = false
    broker.interfere = ({ producer: identity }) => {
      if (refused || identity!.sequence !== 1) return undefined
      refused = true
      return new FlotillaError('NO_QUORUM', 'not now')
    }
    const acknowledged = await Promise.all(['a', 'b', 'c', 'd'].map((value) => producer.send(record(value))))
    expect(offsetsOf(acknowledged)).toEqual([0, 1, 2, 3])
    expect(sequencesOf(broker)).toEqual([0, 1, 2, 3, 1, 2, 3])
    expect(valuesOf(broker, 'orders')).toEqual(['a', 'b', 'c', 'd'])
  })
  it('when a batch in the middle is refused for good: it fails alone, and the others move up', async () => {
    const { broker, producer } = await started({ maxBatchRecords: 1 })
    broker.interfere = ({ records }) =>
      Buffer.from(records).includes('bad') ? new FlotillaError('BATCH_TOO_LARGE', 'no') : undefined
    const outcomes = await Promise.allSettled(
      ['a', 'bad', 'c', 'd'].map((value) => producer.send(record(value))),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(valuesOf(broker, 'orders')).toEqual(['a', 'c', 'd'])
  })

  const fault = fc.constantFrom('none', 'none', 'none', 'refuse', 'lose answer', 'cut', 'elect', 'throttle')
  test.prop([fc.array(fault, { maxLength: 30 }), fc.integer({ min: 1, max: 5 })], { numRuns: 60 })(
    'whatever fails for a while',
    async (faults, maxInFlightBatches) => {
      const { broker, client, producer } = await started({ maxBatchRecords: 2, maxInFlightBatches })
      let at = 0
      broker.interfere = (_append, node) => {
        const now = faults[at++] ?? 'none'
        switch (now) {
          case 'none':
            return undefined
          case 'refuse':
            return new FlotillaError('NO_QUORUM', 'not now')
          case 'throttle':
            return new FlotillaError('THROTTLED', 'wait', { retryDelayMs: 50 })
          case 'lose answer':
            broker.clock.setTimer(3, () => broker.network.cut(broker.addressOf(node)))
            return 'append silently'
          case 'cut':
            broker.clock.setTimer(1, () => broker.network.cut(broker.addressOf(node)))
            return undefined
          case 'elect':
            broker.elect('orders', 0, ['n1', 'n2', 'n3'][at % 3]!, at % 2 === 0)
            return undefined
        }
      }
      const values = Array.from({ length: 40 }, (_, index) => `v${index}`)
      const acknowledged = await Promise.all(values.map((value) => producer.send(record(value))))
      expect(valuesOf(broker, 'orders')).toEqual(values)
      expect(offsetsOf(acknowledged)).toEqual(values.map((_, index) => index))
      await client.close()
    },
  )
})

describe('a producer that cannot go on', () => {
  it('because another took over tells so, now and later', async () => {
    const { broker, producer } = await started({ producerId: 'p' })
    broker.interfere = () => new FlotillaError('PRODUCER_FENCED', 'epoch 1 has taken over')
    expect((await failureOf(producer.send(record('v')))).reason).toBe('PRODUCER_FENCED')
    expect((await failureOf(producer.send(record('w')))).reason).toBe('PRODUCER_FENCED')
  })
  it('in doubt about a batch raises the epoch of a random id, so that what comes after is safe', async () => {
    const { broker, producer } = await started({ deliveryTimeoutMs: 5000 })
    broker.interfere = () => 'append silently'
    const error = await failureOf(producer.send(record('doubtful')))
    expect(error).toMatchObject({ reason: 'UNKNOWN_OUTCOME', effect: 'unknown' })
    broker.interfere = () => undefined
    expect((await producer.send(record('after'))).offset).toBe(1)
    expect(broker.attempts.at(-1)!.append.producer).toMatchObject({ epoch: 1, sequence: 0 })
    expect(valuesOf(broker, 'orders')).toEqual(['doubtful', 'after'])
  })
  it('in doubt about a batch stops where its user named it, and says what to do', async () => {
    const { broker, producer } = await started({ producerId: 'p', deliveryTimeoutMs: 5000 })
    broker.interfere = () => 'append silently'
    expect((await failureOf(producer.send(record('doubtful')))).reason).toBe('UNKNOWN_OUTCOME')
    broker.interfere = () => undefined
    const error = await failureOf(producer.send(record('after')))
    expect(error.message).toContain('start it anew with a higher epoch')
    expect(error.effect).toBe('none')
  })
  it('because the partition forgot it goes on under a new epoch', async () => {
    const { broker, producer } = await started()
    await producer.send(record('a'))
    broker.interfere = ({ producer: identity }) =>
      identity!.epoch === 0 ? new FlotillaError('UNKNOWN_PRODUCER', 'forgotten') : undefined
    expect((await producer.send(record('b'))).offset).toBe(1)
    expect(broker.attempts.at(-1)!.append.producer).toMatchObject({ epoch: 1, sequence: 0 })
  })
})

describe('batching', () => {
  it('sends at once when nothing is under way, and gathers otherwise', async () => {
    const { broker, producer } = await started()
    await producer.send(record('warm'))
    const alone = broker.clock.nowMs()
    await producer.send(record('alone'))
    // One way and back.
    expect(broker.clock.nowMs() - alone).toBe(2)
    await Promise.all(Array.from({ length: 100 }, (_, index) => producer.send(record(String(index)))))
    expect(broker.attempts).toHaveLength(3)
  })
  it('closes a batch at its bytes and at its records', async () => {
    const { broker, producer } = await started({ maxBatchBytes: 100, maxBatchRecords: 4 })
    await Promise.all(Array.from({ length: 8 }, () => producer.send(record('x'))))
    expect(broker.attempts.map(({ append }) => append.records.length)).toEqual([20, 20])
    await Promise.all([producer.send(record('y'.repeat(60))), producer.send(record('y'.repeat(60)))])
    expect(broker.attempts).toHaveLength(4)
  })
  it('sends all partitions that one node leads on one stream', async () => {
    const { broker, producer } = await started()
    broker.elect('orders', 1, 'n1', true)
    await Promise.all([0, 1].map((partition) => producer.send({ ...record('v'), partition })))
    const layoutWatch = 1
    expect(broker.network.openCalls('n1:7101')).toBe(layoutWatch + 1)
  })
  it('keeps keyless records together per batch, then takes the next partition in turn', async () => {
    const { producer } = await started()
    const partitions: number[] = []
    for (let batch = 0; batch < 6; batch++) {
      const sent = await Promise.all([1, 2].map(() => producer.send({ topic: 'orders', value: 'v' })))
      expect(new Set(sent.map(({ partition }) => partition)).size).toBe(1)
      partitions.push(sent[0]!.partition)
    }
    expect(new Set(partitions.slice(0, 3)).size).toBe(3)
    expect(partitions.slice(3)).toEqual(partitions.slice(0, 3))
  })
  it('sends the records of a key to one partition', async () => {
    const { producer } = await started()
    const sent = await Promise.all(
      [1, 2, 3].map(() => producer.send({ topic: 'orders', key: 'k', value: 'v' })),
    )
    const routed = await producer.send({ topic: 'orders', key: 'other', routingKey: 'k', value: 'v' })
    expect(new Set([...sent, routed].map(({ partition }) => partition)).size).toBe(1)
  })
})

describe('delivery reports', () => {
  const reportsOf = (): { reports: unknown[]; report: DeliveryReport } => {
    const reports: unknown[] = []
    return {
      reports,
      report: (error, acknowledgement) => reports.push(error?.reason ?? acknowledgement?.offset),
    }
  }

  it('tell a failure, and never before the call has returned', async () => {
    const { producer } = await started()
    await producer.send(record('first'))
    const { reports, report } = reportsOf()
    void producer.produce({ topic: 'orders', partition: 77, value: 'v' }, report)
    void producer.produce({ topic: 'no such name!', value: 'v' }, report)
    expect(reports).toEqual([])
    await producer.flush()
    expect(reports).toEqual(['UNKNOWN_PARTITION', 'INVALID_NAME'])
    await producer.close()
    void producer.produce(record('late'), report)
    await producer.flush()
    expect(reports[2]).toBe('INVALID_ARGUMENT')
  })
  it('tell each acknowledgement once, in order', async () => {
    const { broker, producer } = await started()
    const { reports, report } = reportsOf()
    for (const value of ['a', 'b', 'c']) void producer.produce(record(value), report)
    await producer.flush()
    expect(reports).toEqual([0, 1, 2])
    expect(valuesOf(broker, 'orders')).toEqual(['a', 'b', 'c'])
  })
  it('that throw stop no other, and are told as uncaught', async () => {
    const { broker, producer } = await started()
    const thrown: unknown[] = []
    broker.clock.onUncaught = (error) => thrown.push(error)
    const { reports, report } = reportsOf()
    const bug = new Error('a bug of the user')
    void producer.produce(record('a'), () => {
      throw bug
    })
    void producer.produce(record('b'), report)
    await producer.flush()
    expect(reports).toEqual([1])
    await until(broker.clock, () => thrown.length === 1)
    expect(thrown).toEqual([bug])
  })
  it('come with a promise to wait for where there is no room', async () => {
    const { producer } = await started({ maxInFlightBytes: 10 })
    const { reports, report } = reportsOf()
    expect(producer.produce(record('0123456'), report)).toBeUndefined()
    const room = producer.produce(record('0123456'), report)
    expect(room).toBeInstanceOf(Promise)
    await room
    expect(reports).toEqual([0])
    await producer.flush()
    expect(reports).toEqual([0, 1])
  })
})

describe('room', () => {
  it('is given in order, as acknowledgements come', async () => {
    const { broker, producer } = await started({ maxInFlightBytes: 10 })
    const first = producer.enqueue(record('0123456'))
    const second = producer.enqueue(record('0123456'))
    let roomForSecond = false
    void second.room.then(() => (roomForSecond = true))
    await first.room
    await until(broker.clock, () => broker.attempts.length === 1)
    expect(roomForSecond).toBe(false)
    await first.acknowledged
    await second.room
    expect((await second.acknowledged).offset).toBe(1)
  })
  it('an enqueued record that fails unheard raises nothing', async () => {
    const { producer } = await started()
    const { acknowledged } = producer.enqueue({ topic: 'nope', value: 'v' })
    await producer.flush()
    expect((await failureOf(acknowledged)).reason).toBe('UNKNOWN_TOPIC')
  })
  it('flush waits for what was sent so far and not for what comes after', async () => {
    const { broker, producer } = await started({ lingerMs: 1000 })
    void producer.enqueue(record('a'))
    await producer.flush()
    expect(valuesOf(broker, 'orders')).toEqual(['a'])
    broker.elect('orders', 0, undefined, true)
    const stuck = producer.enqueue(record('stuck'))
    const flushed = producer.flush()
    broker.elect('orders', 0, 'n1', true)
    await flushed
    expect((await stuck.acknowledged).offset).toBe(1)
  })
  it('closing the client flushes first', async () => {
    const { broker, client, producer } = await started()
    const { acknowledged } = producer.enqueue(record('last'))
    await client.close()
    expect((await acknowledged).offset).toBe(0)
    expect(valuesOf(broker, 'orders')).toEqual(['last'])
  })
})
