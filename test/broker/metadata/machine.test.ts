import { describe, expect, it } from 'vitest'
import type { MetadataResult } from '../../../src/broker/metadata/decide.ts'
import { MetadataMachine } from '../../../src/broker/metadata/machine.ts'
import type { MetadataCommand } from '../../../src/broker/metadata/decide.ts'
import type { MetadataEvent } from '../../../src/broker/metadata/events.ts'
import { FlotillaError } from '../../../src/wire/errors.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { ScriptedLog, Waiter } from '../support/scripted-log.ts'
import { LIMITS, createTopic, deleteTopic, node } from './cluster.ts'

const lost = (): FlotillaError => new FlotillaError('UNKNOWN_OUTCOME', 'the leader changed')

class Leader {
  readonly log = new ScriptedLog()
  readonly events: (MetadataEvent | undefined)[] = []
  readonly machine = new MetadataMachine(new ManualClock(), LIMITS, new Uint8Array(0), (event) =>
    this.events.push(event),
  )

  constructor() {
    this.machine.lead(this.log.term)
    this.submit({ type: 'createCluster', clusterId: 'c1' })
    for (const id of ['n1', 'n2', 'n3']) this.submit({ type: 'registerNode', node: node(id) })
    this.decide()
    this.log.commit(this.machine)
  }
  submit(command: MetadataCommand, deadlineMs?: number): Waiter<MetadataResult> {
    const waiter = new Waiter<MetadataResult>(deadlineMs)
    this.machine.submit(command, waiter)
    return waiter
  }
  decide(): void {
    this.machine.decide(this.log.propose)
  }
}

describe('the leader of the metadata group', () => {
  it('refuses more changes than may wait', () => {
    const leader = new Leader()
    const waiters = Array.from({ length: 1001 }, () => leader.submit(deleteTopic('t')))
    expect(waiters[999]?.isWaiting).toBe(true)
    expect(waiters[1000]?.failure).toBe('THROTTLED/none')
  })

  it('answers a bad name as refused and goes on with the next command', () => {
    const leader = new Leader()
    const [bad, good] = [leader.submit(createTopic('a/b')), leader.submit(createTopic('good'))]
    leader.decide()
    expect(bad.failure).toBe('INVALID_NAME/none')
    leader.log.commit(leader.machine)
    expect(good.result).toMatchObject({ type: 'topic', topic: { name: 'good' } })
  })

  it('has changed nothing where the core takes no proposal, and keeps what it has not looked at', () => {
    const leader = new Leader()
    leader.log.refusal = 'transferring'
    const [first, second] = [leader.submit(createTopic('a')), leader.submit(createTopic('b'))]
    leader.decide()
    expect(first.failure).toBe('NOT_LEADER/none')
    expect(second.isWaiting).toBe(true)
    leader.log.refusal = undefined
    leader.machine.lead(leader.log.term)
    leader.decide()
    leader.log.commit(leader.machine)
    expect([...leader.machine.state.topics.keys()]).toEqual(['b'])
    expect(second.outcomes).toHaveLength(1)
  })

  it('does not know what becomes of what it proposed when it leads no longer, and tells each caller once', () => {
    const leader = new Leader()
    const proposed = leader.submit(createTopic('a'))
    leader.decide()
    const queued = leader.submit(createTopic('b'))
    leader.machine.follow(lost)
    leader.log.commit(leader.machine)
    leader.machine.expire(Infinity)
    expect([proposed.failure, queued.failure]).toEqual(['UNKNOWN_OUTCOME/unknown', 'NOT_LEADER/none'])
    expect([proposed, queued].map(({ outcomes }) => outcomes.length)).toEqual([1, 1])
  })

  it('tells callers whose time is over: nothing was changed, or nobody knows', () => {
    const leader = new Leader()
    const proposed = leader.submit(createTopic('a'), 10)
    leader.decide()
    const queued = leader.submit(createTopic('b'), 10)
    leader.machine.expire(10)
    expect([proposed.failure, queued.failure]).toEqual(['UNKNOWN_OUTCOME/unknown', 'NO_QUORUM/none'])
  })

  it('decides each command on what the ones before it will have made', () => {
    const leader = new Leader()
    const waiters = [
      createTopic('a'),
      createTopic('a', {}, 'other'),
      deleteTopic('a'),
      createTopic('a', {}, 'third'),
    ].map((command) => leader.submit(command))
    leader.decide()
    leader.log.commit(leader.machine)
    expect(waiters.map(({ failure }) => failure)).toEqual([
      undefined,
      'TOPIC_EXISTS/none',
      undefined,
      undefined,
    ])
    expect(leader.machine.state.topics.get('a')?.topicId).toBe('third')
  })

  it('answers that something is so already only once that is committed', () => {
    const leader = new Leader()
    leader.submit(createTopic('a', { requestId: 'r' }, 'first'))
    const retry = leader.submit(createTopic('a', { requestId: 'r' }, 'second'))
    leader.decide()
    expect(retry.isWaiting).toBe(true)
    leader.log.commit(leader.machine)
    expect(retry.result).toMatchObject({ topic: { topicId: 'first' } })
    const late = leader.submit(createTopic('a', { requestId: 'r' }, 'third'))
    leader.decide()
    expect(late.result).toMatchObject({ topic: { topicId: 'first' } })
  })

  it('tells of each event once it is folded, before the caller hears', () => {
    const leader = new Leader()
    leader.events.length = 0
    let seen: unknown
    leader.machine.submit(createTopic('a'), { deadlineMs: 1e6, done: () => (seen = leader.events.at(-1)) })
    leader.decide()
    expect(leader.events).toEqual([])
    leader.log.commit(leader.machine)
    expect(seen).toMatchObject({ type: 'topicCreated' })
    expect(leader.events).toHaveLength(1)
  })
})
