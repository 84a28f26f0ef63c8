import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { AbortError } from '../../../src/client/index.ts'
import type { ConsumedRecord, ConsumeOptions, GroupConsumer } from '../../../src/client/types.ts'
import { FlotillaError } from '../../../src/wire/index.ts'
import type { FakeBroker } from '../fake-broker.ts'
import { until } from '../fake-world.ts'
import { clientOf, failureOf, recordSetOf, startBroker } from '../fixture.ts'

interface Scene {
  readonly broker: FakeBroker
  readonly consume: (options?: Partial<ConsumeOptions>) => GroupConsumer
}

/** `rounds` records in each of the topic's partitions. */
async function scene(partitions = 1, rounds = 0): Promise<Scene> {
  const broker = await startBroker()
  broker.addTopic('orders', partitions)
  const client = clientOf(broker)
  put(broker, partitions, 0, rounds)
  const consume = (options?: Partial<ConsumeOptions>): GroupConsumer =>
    client.consume({ group: 'billing', topics: ['orders'], commitIntervalMs: 100, ...options })
  return { broker, consume }
}

function put(broker: FakeBroker, partitions: number, from: number, rounds: number): void {
  for (let round = from; round < from + rounds; round++) {
    for (let partition = 0; partition < partitions; partition++)
      broker.put('orders', partition, recordSetOf(`${partition}.${round}`))
  }
}

const textOf = ({ value }: ConsumedRecord): string => Buffer.from(value ?? []).toString()

/** Runs the loop in the background; `seen` grows. */
function loop(
  consumer: GroupConsumer,
  handle: (record: ConsumedRecord) => void | Promise<void> = () => {},
): { readonly seen: string[]; readonly ended: Promise<unknown> } {
  const seen: string[] = []
  const run = async (): Promise<void> => {
    for await (const record of consumer) {
      await handle(record)
      seen.push(textOf(record))
    }
  }
  return { seen, ended: run().catch((error: unknown) => error) }
}

describe('a consumer that can not go on', () => {
  it('is refused what makes no sense before anything is sent', async () => {
    const { broker, consume } = await scene()
    expect(() => consume({ topics: [] })).toThrow('at least one topic or partition')
    expect(() => consume({ group: '' })).toThrow('no group name')
    expect(broker.groups.requests).toEqual([])
  })
  it('fails where a younger member has its id, and says so to the loop and to the listeners', async () => {
    const { broker, consume } = await scene(1, 1)
    const elder = consume({ memberId: 'fixed' })
    const lost: unknown[] = []
    elder.on('lost', (partitions, error) => lost.push(partitions.length, (error as FlotillaError).reason))
    const { seen, ended } = loop(elder)
    await until(broker.clock, () => seen.length === 1)
    const younger = consume({ memberId: 'fixed' })
    const other = loop(younger)
    expect(await ended).toMatchObject({ reason: 'MEMBER_FENCED' })
    expect(lost).toEqual([1, 'MEMBER_FENCED'])
    await elder.close()
    await younger.close()
    expect(await other.ended).toBeUndefined()
  })
  it('fails where no node answers for as long as the client waits', async () => {
    const { broker, consume } = await scene()
    for (const node of ['n1', 'n2', 'n3']) broker.network.takeDown(`${node}:7101`)
    expect(await loop(consume()).ended).toMatchObject({ reason: 'UNREACHABLE' })
    expect(broker.clock.nowMs()).toBeGreaterThanOrEqual(30_000)
  })
  it('fails with what a listener throws', async () => {
    const { consume } = await scene(1, 1)
    const consumer = consume()
    consumer.on('assigned', () => {
      throw new Error('no room for more')
    })
    expect(await loop(consumer).ended).toMatchObject({ message: 'no room for more' })
  })
  it('is not iterated twice', async () => {
    const { consume } = await scene()
    const consumer = consume()
    const first = loop(consumer)
    expect((await failureOf(consumer.batches()[Symbol.asyncIterator]().next())).message).toContain(
      'iterated once',
    )
    await consumer.close()
    await first.ended
  })
  it('ends its loop with AbortError where its signal is aborted, having committed what was handled', async () => {
    const { broker, consume } = await scene(1, 5)
    const controller = new AbortController()
    const { seen, ended } = loop(consume({ signal: controller.signal, commitIntervalMs: 60_000 }))
    await until(broker.clock, () => seen.length === 5)
    controller.abort()
    expect(await ended).toBeInstanceOf(AbortError)
    expect(broker.groups.committed('orders', 0)).toBe(5)
    expect(broker.groups.memberIds()).toEqual([])
  })
  it('rejects close where the last commit is refused', async () => {
    const { broker, consume } = await scene(1, 5)
    const consumer = consume({ commitIntervalMs: 60_000 })
    const { seen, ended } = loop(consumer)
    await until(broker.clock, () => seen.length === 5)
    broker.groups.refuseCommit = () => new FlotillaError('LIMIT_EXCEEDED', 'too many groups')
    expect((await failureOf(consumer.close())).reason).toBe('LIMIT_EXCEEDED')
    await ended
  })
})

describe('a consumer', () => {
  it('hands out every record of its partitions in order, and commits what its loop has come past', async () => {
    const { broker, consume } = await scene(3, 10)
    const consumer = consume()
    const { seen, ended } = loop(consumer)
    await consumer.caughtUp()
    await until(broker.clock, () => seen.length === 30)
    for (const partition of [0, 1, 2]) {
      const own = seen.filter((text) => text.startsWith(`${partition}.`))
      expect(own).toEqual(Array.from({ length: 10 }, (_, round) => `${partition}.${round}`))
      await until(broker.clock, () => broker.groups.committed('orders', partition) === 10)
    }
    expect(consumer.lag().map(({ records }) => records)).toEqual([0, 0, 0])
    await consumer.close()
    await ended
    expect(broker.groups.memberIds()).toEqual([])
  })
  it('counts what a broken loop has in hand as not handled', async () => {
    const { broker, consume } = await scene(1, 5)
    for await (const record of consume()) if (record.offset === 2) break
    expect(broker.groups.committed('orders', 0)).toBe(2)
    const next = consume()
    for await (const record of next) {
      expect(record.offset).toBe(2)
      await next.commit()
      break
    }
    expect(broker.groups.committed('orders', 0)).toBe(3)
  })
  it('commits only what it is asked to where that is manual, with what is in hand', async () => {
    const { broker, consume } = await scene(1, 5)
    const consumer = consume({ commit: 'manual' })
    let batches = 0
    for await (const batch of consumer.batches()) {
      batches++
      if (batches === 2) await consumer.commit()
      if (batches === 4) await consumer.commit([{ topic: 'orders', partition: 0, offset: batch.baseOffset }])
      if (batches === 5) break
    }
    expect(broker.groups.commits.map(({ offset }) => offset)).toEqual([2, 3])
    expect((await failureOf(consumer.commit())).message).toContain('the consumer is closed')
  })
  it('commits before it hands out where nothing may be handled twice', async () => {
    const { broker, consume } = await scene(1, 3)
    const committed: (number | undefined)[] = []
    for await (const record of consume({ commit: 'before' })) {
      committed.push(broker.groups.committed('orders', 0))
      if (record.offset === 2) break
    }
    expect(committed).toEqual([1, 2, 3])
  })
  it('gives half to a second one, each record handled by one of them', async () => {
    const { broker, consume } = await scene(4, 10)
    const first = consume()
    const one = loop(first)
    await until(broker.clock, () => one.seen.length === 40)
    const revoked: number[] = []
    first.on('revoked', (partitions) => void revoked.push(partitions.length))
    const second = consume()
    const two = loop(second)
    await until(broker.clock, () => second.assignment().length === 2)
    put(broker, 4, 10, 10)
    await until(broker.clock, () => one.seen.length + two.seen.length === 80)
    expect(new Set([...one.seen, ...two.seen]).size).toBe(80)
    expect(revoked.reduce((sum, count) => sum + count, 0)).toBe(2)
    await Promise.all([first.close(), second.close()])
  })
  it('waits for a slow listener before it gives a partition back', async () => {
    const { broker, consume } = await scene(2, 1)
    const first = consume()
    const one = loop(first)
    await until(broker.clock, () => one.seen.length === 2)
    let settle = (): void => {}
    first.on('revoked', () => new Promise((resolve) => (settle = resolve)))
    const second = consume()
    const two = loop(second)
    await until(broker.clock, () => second.memberId !== undefined)
    const sinceMs = broker.clock.nowMs()
    await until(broker.clock, () => broker.clock.nowMs() > sinceMs + 1000)
    expect(second.assignment()).toEqual([])
    settle()
    await until(broker.clock, () => second.assignment().length === 1)
    await Promise.all([first.close(), second.close()])
    await Promise.all([one.ended, two.ended])
  })
  it('goes on at another node when its own is lost, as the same member', async () => {
    const { broker, consume } = await scene(2, 5)
    const consumer = consume()
    const assigned: number[] = []
    consumer.on('assigned', (partitions) => void assigned.push(partitions.length))
    const { seen, ended } = loop(consumer)
    await until(broker.clock, () => seen.length === 10)
    const { memberId } = consumer
    const node = broker.groups.requests.at(-1)!.node
    broker.network.takeDown(`${node}:7101`)
    put(broker, 2, 5, 5)
    await until(broker.clock, () => seen.length === 20)
    expect(new Set(seen).size).toBe(20)
    expect(consumer.memberId).toBe(memberId)
    expect(assigned).toEqual([1, 1])
    expect(broker.groups.requests.at(-1)!.node).not.toBe(node)
    await consumer.close()
    await ended
  })
  it('joins anew where its lease has ended, and tells of the loss', async () => {
    const { broker, consume } = await scene(1, 5)
    const consumer = consume()
    const events: string[] = []
    consumer.on('assigned', () => void events.push('assigned'))
    const stop = consumer.on(
      'lost',
      (_partitions, error) => void events.push((error as FlotillaError).reason),
    )
    const { seen, ended } = loop(consumer)
    await until(broker.clock, () => seen.length === 5)
    broker.groups.expire(consumer.memberId!)
    put(broker, 1, 5, 5)
    await until(broker.clock, () => seen.includes('0.9'))
    expect(events).toEqual(['assigned', 'UNKNOWN_MEMBER', 'assigned'])
    stop()
    broker.groups.expire(consumer.memberId!)
    await until(broker.clock, () => events.length === 4)
    expect(events.at(-1)).toBe('assigned')
    await consumer.close()
    await ended
  })
  it('hands out nothing of a paused partition, and the rest of it afterwards', async () => {
    const { broker, consume } = await scene(2, 10)
    const consumer = consume({ maxWaitingRecords: 4 })
    const place = [{ topic: 'orders', partition: 0 }]
    consumer.on('assigned', () => consumer.pause(place))
    const { seen, ended } = loop(consumer)
    await until(broker.clock, () => seen.length === 10)
    expect(seen.every((text) => text.startsWith('1.'))).toBe(true)
    consumer.resume(place)
    await until(broker.clock, () => seen.length === 20)
    expect(seen.slice(10)).toEqual(Array.from({ length: 10 }, (_, round) => `0.${round}`))
    await consumer.close()
    await ended
  })
  it('says that its handler is stuck, and goes on when it comes back', async () => {
    const { broker, consume } = await scene(1, 2)
    const consumer = consume({ maxHandlingMs: 60_000 })
    const stuck: unknown[] = []
    consumer.on('stuck', (partitions, forMs) => stuck.push(partitions, forMs))
    let release = (): void => {}
    const { seen, ended } = loop(consumer, () => new Promise((resolve) => (release = resolve)))
    await until(broker.clock, () => stuck.length === 2)
    expect(stuck).toEqual([[{ topic: 'orders', partition: 0 }], 60_000])
    broker.groups.expire(consumer.memberId!)
    release()
    await until(
      broker.clock,
      () => broker.groups.memberIds().length === 1 && consumer.assignment().length === 1,
    )
    const settled = setInterval(() => release(), 0)
    await until(broker.clock, () => seen.includes('0.1'))
    await consumer.close()
    await ended
    clearInterval(settled)
  })
  it('ends with its client, and by await using', async () => {
    const { broker, consume } = await scene(1, 3)
    {
      await using consumer = consume()
      const { seen } = loop(consumer)
      await until(broker.clock, () => seen.length === 3)
    }
    expect(broker.groups.memberIds()).toEqual([])
    expect(broker.groups.committed('orders', 0)).toBe(3)
  })
  it('that never began closes at once, and rejects who waits for it to catch up', async () => {
    const { consume } = await scene()
    const consumer = consume()
    const caughtUp = consumer.caughtUp()
    await consumer.close()
    await expect(caughtUp).rejects.toThrow(AbortError)
    await expect(consumer.caughtUp()).rejects.toThrow(AbortError)
  })
})

describe('whatever happens to nodes and members', () => {
  const happening = fc.record({
    atMs: fc.nat({ max: 400 }),
    what: fc.constantFrom('cut', 'expire', 'append', 'pause', 'resume'),
    which: fc.nat({ max: 2 }),
  })
  test.prop(
    [fc.array(happening, { maxLength: 15 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 3 })],
    {
      numRuns: 25,
    },
  )(
    'every record is handled, in order but for repeats, and commits go forward',
    async (happenings, credit, members) => {
      const { broker, consume } = await scene(3, 5)
      const consumers = Array.from({ length: members }, () =>
        consume({ maxWaitingRecords: credit, commitIntervalMs: 20 }),
      )
      const loops = consumers.map((consumer) =>
        loop(consumer, () => new Promise((resolve) => broker.clock.setTimer(3, resolve))),
      )
      let rounds = 5
      for (const { atMs, what, which } of happenings) {
        broker.clock.setTimer(atMs, () => {
          const consumer = consumers[which % members]!
          const place = [{ topic: 'orders', partition: which }]
          if (what === 'cut') broker.network.cut(`n${which + 1}:7101`)
          else if (what === 'expire') broker.groups.expire(consumer.memberId ?? '')
          else if (what === 'append') put(broker, 3, rounds++, 1)
          else if (what === 'pause') consumer.pause(place)
          else consumer.resume(place)
        })
      }
      await until(broker.clock, () => broker.clock.nowMs() > 2000)
      broker.groups.expireSilent()
      for (const consumer of consumers)
        consumer.resume([0, 1, 2].map((partition) => ({ topic: 'orders', partition })))
      const all = (partition: number): string[] =>
        Array.from({ length: rounds }, (_, round) => `${partition}.${round}`)
      await until(broker.clock, () =>
        [0, 1, 2].every((partition) => broker.groups.committed('orders', partition) === rounds),
      )
      for (const partition of [0, 1, 2]) {
        const seen = new Set(loops.flatMap((each) => each.seen))
        expect(all(partition).filter((text) => !seen.has(text))).toEqual([])
        const offsets = broker.groups.commits
          .filter((each) => each.partition === partition)
          .map(({ offset }) => offset)
        expect(offsets).toEqual(offsets.toSorted((a, b) => a - b))
      }
      await Promise.all(consumers.map((consumer) => consumer.close()))
      for (const { ended } of loops) expect(await ended).toBeUndefined()
    },
  )
})
