import { describe, expect, it } from 'vitest'
import { AbortError } from '../../src/client/index.ts'
import { clientOf, failureOf, startBroker } from './fixture.ts'

describe('a call that fails', () => {
  it('because it is refused is not repeated', async () => {
    const broker = await startBroker()
    broker.addTopic('orders', 1)
    const { topics } = clientOf(broker)
    expect((await failureOf(topics.create('orders'))).reason).toBe('TOPIC_EXISTS')
    expect(broker.createRequests).toHaveLength(1)
    expect((await failureOf(topics.create('no good'))).reason).toBe('INVALID_NAME')
    expect(broker.createRequests).toHaveLength(1)
  })
  it('with an unknown outcome is not repeated where twice is not as once', async () => {
    const broker = await startBroker()
    broker.addTopic('orders', 1)
    broker.loseAnswers = 1
    const error = await failureOf(clientOf(broker).cluster.transferLeadership('orders', 0))
    expect(error).toMatchObject({ reason: 'UNKNOWN_OUTCOME', effect: 'unknown' })
    expect(broker.partition('orders').term).toBe(2)
  })
  it('because no node answers gives up at its total time', async () => {
    const broker = await startBroker()
    for (const node of ['n1', 'n2', 'n3']) broker.network.takeDown(`${node}:7101`)
    const error = await failureOf(clientOf(broker).topics.describe('orders', { timeoutMs: 5000 }))
    expect(error).toMatchObject({ reason: 'UNREACHABLE', effect: 'none' })
    expect(broker.clock.nowMs()).toBeLessThanOrEqual(5000)
    expect(broker.clock.nowMs()).toBeGreaterThan(3000)
  })
  it('because its signal was aborted throws AbortError', async () => {
    const broker = await startBroker()
    for (const node of ['n1', 'n2', 'n3']) broker.network.takeDown(`${node}:7101`)
    const controller = new AbortController()
    broker.clock.setTimer(500, () => controller.abort())
    await expect(clientOf(broker).topics.describe('x', { signal: controller.signal })).rejects.toThrow(
      AbortError,
    )
  })
})

describe('a call that is harmless twice', () => {
  it('is repeated when its answer was lost: one topic, one request id', async () => {
    const broker = await startBroker()
    broker.loseAnswers = 2
    const topic = await clientOf(broker).topics.create('orders', { partitions: 2 })
    expect(topic.partitions).toHaveLength(2)
    expect(broker.createRequests).toHaveLength(3)
    expect(new Set(broker.createRequests).size).toBe(1)
    expect(broker.createRequests[0]).toMatch(/^[0-9a-f]{32}$/)
  })
  it('goes to the next node when one is down', async () => {
    const broker = await startBroker()
    broker.addTopic('orders', 1)
    broker.network.takeDown('n1:7101')
    expect((await clientOf(broker).topics.describe('orders')).name).toBe('orders')
  })
  it('to a named node is repeated', async () => {
    const broker = await startBroker()
    broker.addTopic('orders', 1)
    broker.loseAnswers = 1
    const { leaderNodeId } = await clientOf(broker).cluster.transferLeadership('orders', 0, { to: 'n3' })
    expect(leaderNodeId).toBe('n3')
  })
  it('lists all pages', async () => {
    const broker = await startBroker()
    for (const name of ['a', 'b', 'c', 'd', 'e']) broker.addTopic(name, 1)
    const topics = await clientOf(broker).topics.list()
    expect(topics.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd', 'e'])
  })
})

describe('the addresses to begin with', () => {
  it.each(['', 'nowhere', 'host:0', 'host:70000', 'a:1,b'])('%j are refused', async (bootstrap) => {
    const broker = await startBroker()
    expect(() => clientOf(broker, { bootstrap })).toThrow('bootstrap')
  })
})
