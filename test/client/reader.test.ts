import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { AbortError, type ConsumedRecord, type Reader, type ReaderOptions } from '../../src/client/index.ts'
import { FlotillaError } from '../../src/wire/index.ts'
import { clientOf, failureOf, recordSetOf, startBroker } from './fixture.ts'
import { until } from './fake-world.ts'

async function started(
  options: Partial<ReaderOptions> = {},
  batches: readonly string[][] = [['a', 'b'], ['c']],
) {
  const broker = await startBroker()
  broker.addTopic('orders', 1)
  for (const values of batches) broker.put('orders', 0, recordSetOf(...values))
  const client = clientOf(broker)
  const reader = client.reader({ topic: 'orders', untilEnd: true, ...options })
  return { broker, client, reader }
}
const textOf = ({ value }: ConsumedRecord): string => Buffer.from(value ?? []).toString()
async function textsOf(reader: Reader): Promise<string[]> {
  const texts: string[] = []
  for await (const record of reader) texts.push(textOf(record))
  return texts
}

describe('reading that cannot begin', () => {
  it('of an unknown topic, partition, node, or from an impossible place, says why', async () => {
    const { client } = await started()
    const reasonOf = async (options: Partial<ReaderOptions>): Promise<string> =>
      (await failureOf(textsOf(client.reader({ topic: 'orders', untilEnd: true, ...options })))).reason
    expect(await reasonOf({ topic: 'nope' })).toBe('UNKNOWN_TOPIC')
    expect(await reasonOf({ partitions: [1] })).toBe('UNKNOWN_PARTITION')
    expect(await reasonOf({ nodeId: 'n9' })).toBe('UNKNOWN_NODE')
    expect(() => client.reader({ topic: 'orders', from: { offset: -1 } })).toThrow(
      'no whole number from 0 on',
    )
    expect(() => client.reader({ topic: 'orders', from: { time: new Date(Number.NaN) } })).toThrow(
      'no valid date',
    )
    expect(() => client.reader({ topic: 'a b' })).toThrow('is no topic name')
  })
  it('beyond the end is out of range, with the range', async () => {
    const { reader } = await started({ from: { offset: 4 } })
    const error = await failureOf(textsOf(reader))
    expect(error).toMatchObject({
      reason: 'OFFSET_OUT_OF_RANGE',
      offsetRange: { lowOffset: 0, highWatermark: 3 },
    })
  })
  it('because no node answers fails after its patience', async () => {
    const { broker, reader } = await started()
    for (const node of ['n1', 'n2', 'n3']) broker.network.takeDown(`${node}:7101`)
    expect((await failureOf(textsOf(reader))).reason).toBe('UNREACHABLE')
    expect(broker.clock.nowMs()).toBeGreaterThanOrEqual(30_000)
  })
  it('twice with one reader is refused', async () => {
    const { reader } = await started()
    await textsOf(reader)
    expect((await failureOf(textsOf(reader))).message).toContain('a reader is iterated once')
  })
})

describe('records come once and in order', () => {
  it('from the beginning, an offset within a batch, a time, and the end', async () => {
    const { broker, client } = await started()
    const read = (from: ReaderOptions['from'] & {}): Promise<string[]> =>
      textsOf(client.reader({ topic: 'orders', untilEnd: true, from }))
    expect(await read('beginning')).toEqual(['a', 'b', 'c'])
    expect(await read({ offset: 1 })).toEqual(['b', 'c'])
    const time = new Date(broker.clock.wallMs() + 1000)
    broker.clock.setTimer(5000, () => broker.put('orders', 0, recordSetOf('later')))
    await until(broker.clock, () => broker.partition('orders').highWatermark === 4)
    expect(await read({ time })).toEqual(['later'])
    expect(await read('end')).toEqual([])
  })
  it('with offset, times, key and headers', async () => {
    const { reader } = await started({ maxRecords: 1 })
    for await (const record of reader) {
      expect(record).toMatchObject({ topic: 'orders', partition: 0, offset: 0, key: undefined, headers: [] })
      expect(record.timestamp).toEqual(record.appendTime)
    }
  })
  it('as batches too, with the high watermark and the position after them', async () => {
    const { reader } = await started()
    const seen: unknown[] = []
    for await (const { baseOffset, records, highWatermark } of reader.batches()) {
      seen.push([baseOffset, records.map(textOf), highWatermark, reader.position().get(0)])
    }
    expect(seen).toEqual([
      [0, ['a', 'b'], 3, 2],
      [2, ['c'], 3, 3],
    ])
  })
  it('go on after the end as they are appended', async () => {
    const { broker, reader } = await started({ untilEnd: false, maxRecords: 5 })
    broker.clock.setTimer(1000, () => broker.put('orders', 0, recordSetOf('d', 'e', 'f')))
    expect(await textsOf(reader)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(reader.position().get(0)).toBe(5)
  })
  it('when the node goes away in the middle: another one goes on behind what came', async () => {
    const { broker, reader } = await started({ untilEnd: false, maxRecords: 4 })
    const texts: string[] = []
    for await (const record of reader) {
      texts.push(textOf(record))
      if (texts.length !== 3) continue
      broker.network.takeDown('n1:7101')
      broker.put('orders', 0, recordSetOf('d'))
    }
    expect(texts).toEqual(['a', 'b', 'c', 'd'])
    expect(broker.reads.map(({ node }) => node)).toEqual(['n1', 'n2'])
    expect(broker.reads[1]!.request.start).toEqual({ type: 'offset', offset: 3 })
  })
  it('when the next replica is behind: it is not taken for the end of the log', async () => {
    const { broker, reader } = await started({ untilEnd: false, maxRecords: 4 })
    broker.refuseRead = (_request, node) =>
      node === 'n2'
        ? new FlotillaError('OFFSET_OUT_OF_RANGE', 'behind', {
            offsetRange: { lowOffset: 0, highWatermark: 1 },
          })
        : undefined
    const texts: string[] = []
    for await (const record of reader) {
      texts.push(textOf(record))
      if (texts.length !== 3) continue
      broker.network.takeDown('n1:7101')
      broker.put('orders', 0, recordSetOf('d'))
    }
    expect(texts).toEqual(['a', 'b', 'c', 'd'])
    expect(broker.reads.map(({ node }) => node)).toEqual(['n1', 'n2', 'n3'])
  })
  it('until the end that the first node told, whatever is appended meanwhile', async () => {
    const { broker, reader } = await started()
    const texts: string[] = []
    for await (const record of reader) {
      texts.push(textOf(record))
      if (texts.length === 1) broker.put('orders', 0, recordSetOf('new'))
    }
    expect(texts).toEqual(['a', 'b', 'c'])
  })
  it('of several partitions, all of them, each in order', async () => {
    const { broker, client } = await started()
    broker.addTopic('wide', 3)
    for (let round = 0; round < 3; round++) {
      for (const partition of [0, 1, 2]) broker.put('wide', partition, recordSetOf(`${partition}.${round}`))
    }
    const texts = await textsOf(client.reader({ topic: 'wide', untilEnd: true }))
    expect([...texts].sort()).toEqual(['0.0', '0.1', '0.2', '1.0', '1.1', '1.2', '2.0', '2.1', '2.2'])
    for (const partition of ['0', '1', '2']) {
      const own = texts.filter((text) => text.startsWith(partition))
      expect(own).toEqual([...own].sort())
    }
    expect(await textsOf(client.reader({ topic: 'wide', untilEnd: true, partitions: [1] }))).toEqual([
      '1.0',
      '1.1',
      '1.2',
    ])
    expect(await textsOf(client.reader({ topic: 'wide', untilEnd: true, maxRecords: 4 }))).toHaveLength(4)
  })
  it('from one node alone, where it was named', async () => {
    const { broker, reader } = await started({ nodeId: 'n3' })
    expect(await textsOf(reader)).toEqual(['a', 'b', 'c'])
    expect(broker.reads).toMatchObject([{ node: 'n3', request: { consistency: 'committed' } }])
  })
  it('up to a confirmed end where a leader is there, and up to a known one where none is', async () => {
    const { broker, reader } = await started()
    broker.refuseRead = ({ consistency }) =>
      consistency === 'linearizable' ? new FlotillaError('NO_LEADER', 'nobody leads') : undefined
    expect(await textsOf(reader)).toEqual(['a', 'b', 'c'])
    expect(broker.reads.map(({ request }) => request.consistency)).toEqual(['linearizable', 'committed'])
  })
  test.prop(
    [
      fc.array(fc.array(fc.string({ maxLength: 3 }), { minLength: 1, maxLength: 4 }), { maxLength: 12 }),
      fc.array(fc.nat({ max: 60 }), { maxLength: 8 }),
      fc.integer({ min: 1, max: 50 }),
    ],
    { numRuns: 60 },
  )(
    'however often the connection is lost, and however small the buffer',
    async (batches, cutsMs, maxBufferedBytes) => {
      const { broker, client, reader } = await started({ maxBufferedBytes, untilEnd: false }, [])
      batches.forEach((values, at) =>
        broker.clock.setTimer(at * 5, () => broker.put('orders', 0, recordSetOf(...values))),
      )
      for (const atMs of cutsMs)
        broker.clock.setTimer(atMs, () => broker.network.cut(`n${(atMs % 3) + 1}:7101`))
      const expected = batches.flat()
      const seen: ConsumedRecord[] = []
      if (expected.length > 0) {
        for await (const record of reader) {
          seen.push(record)
          if (seen.length === expected.length) break
        }
      }
      expect(seen.map(textOf)).toEqual(expected)
      expect(seen.map(({ offset }) => offset)).toEqual(expected.map((_, index) => index))
      await client.close()
    },
  )
})

describe('a gap or a batch that is not what it says', () => {
  it('fails and does not pass for an end', async () => {
    const { broker, reader } = await started()
    broker.partition('orders').batches.splice(0, 1)
    expect((await failureOf(textsOf(reader))).message).toContain('the node sent offset 2 where 0 comes next')
    const other = await started()
    const [first] = other.broker.partition('orders').batches
    other.broker.partition('orders').batches[0] = { ...first!, records: [recordSetOf('a')] }
    expect((await failureOf(textsOf(other.reader))).message).toContain('holds 1 records and announces 2')
  })
})

describe('memory', () => {
  it('is bounded: a reader that takes nothing stops the stream', async () => {
    const batches = Array.from({ length: 50 }, () => ['x'.repeat(100)])
    const { broker, reader } = await started({ maxBufferedBytes: 500 }, batches)
    const iterator = reader.batches()[Symbol.asyncIterator]()
    await iterator.next()
    const before = broker.clock.nowMs()
    await until(broker.clock, () => broker.clock.nowMs() > before + 1000)
    expect(broker.reads[0]!.request.maxMessageBytes).toBe(64 * 1024)
    let count = 1
    while ((await iterator.next()).done !== true) count++
    expect(count).toBe(50)
  })
})

describe('leaving', () => {
  it('the loop cancels what is under way', async () => {
    const { broker, reader } = await started({ untilEnd: false })
    for await (const record of reader) if (textOf(record) === 'c') break
    await until(broker.clock, () => broker.network.openCalls('n1:7101') === 1)
    expect(broker.network.openCalls('n1:7101')).toBe(1)
  })
  it('by the signal ends the wait with AbortError, at once or later', async () => {
    const controller = new AbortController()
    const { broker, client, reader } = await started({ untilEnd: false, signal: controller.signal })
    broker.clock.setTimer(1000, () => controller.abort(new Error('enough')))
    await expect(textsOf(reader)).rejects.toThrow(AbortError)
    const late = client.reader({ topic: 'orders', signal: controller.signal })
    await expect(textsOf(late)).rejects.toThrow(AbortError)
  })
  it('by close ends the loop', async () => {
    const { broker, client, reader } = await started({ untilEnd: false })
    broker.clock.setTimer(1000, () => void client.close())
    expect(await textsOf(reader)).toEqual(['a', 'b', 'c'])
    expect(() => client.reader({ topic: 'orders' })).toThrow('the client is closed')
  })
})
