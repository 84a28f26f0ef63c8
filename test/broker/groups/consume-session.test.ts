import { describe, expect, it } from 'vitest'
import { ConsumeSession, type SessionParts } from '../../../src/broker/groups/consume-session.ts'
import type { Group, GroupChangeCommand, Member } from '../../../src/broker/groups/types.ts'
import type { ConsumeRequest, ConsumeResponse } from '../../../src/wire/index.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'
import { quietLogger } from '../support/quiet-logger.ts'
import { TestSink } from '../support/test-sink.ts'

const epoch = 4

/** The stream of a member that has one partition, the leader of which answers nothing until the test says so. */
class Joined {
  readonly sink = new TestSink<ConsumeResponse>()
  readonly session: ConsumeSession
  readonly clock = new ManualClock()
  readonly topics = new Map([['t', {}]])
  readonly changes: GroupChangeCommand[] = []
  isReading = true
  isStatic = true
  /** The group's state may be another. */
  changed: () => void = () => undefined
  answer: (committedOffset: number) => void = () => undefined

  constructor() {
    const anna = { memberId: 'anna', incarnation: 1, topics: ['t'], partitions: [], sessionTimeoutMs: 10_000 }
    const assignment = { topic: 't', partition: 0, owner: 'anna', epoch, isRevoking: false, reset: undefined }
    const group = {
      name: 'g',
      members: new Map([['anna', anna as unknown as Member]]),
      assignments: new Map([['t/0', assignment]]),
    } as unknown as Group
    this.session = new ConsumeSession({
      node: {
        view: {
          onGroup: (_group: string, listener: () => void) => {
            this.changed = listener
            return () => undefined
          },
          state: { groups: new Map([['g', group]]), topics: this.topics },
        },
      },
      calls: {
        change: (command: GroupChangeCommand) => {
          this.changes.push(command)
          return Promise.resolve({ type: 'joined', member: { ...anna, isStatic: this.isStatic } })
        },
        ask: () =>
          new Promise((resolve) => {
            this.answer = (committedOffset) =>
              resolve({ position: { committedOffset }, lowOffset: 0, highWatermark: 0 })
          }),
      },
      metadata: { ensureTopic: () => Promise.resolve() },
      clock: this.clock,
      random: {},
      logger: quietLogger,
      sink: this.sink,
      flow: { pause: () => (this.isReading = false), resume: () => (this.isReading = true) },
      call: { peer: 'somewhere' },
      onJoined: () => undefined,
      onClosed: () => undefined,
    } as unknown as SessionParts)
  }

  async join(): Promise<void> {
    this.session.onMessage({ start: { group: 'g', topics: ['t'], memberId: 'anna' } })
    await settle()
    expect(this.sink.sent).toMatchObject([{ joined: { memberId: 'anna' } }])
  }

  commit(correlationId: number, ...offsets: readonly number[]): void {
    const positions = offsets.map((offset) => ({ topic: 't', partition: 0, offset, epoch }))
    const request: ConsumeRequest = { commit: { correlationId, positions } }
    this.session.onMessage(request)
  }
}

describe("a member's stream", () => {
  it('is read no further while as many commits wait as may, and again when they are answered', async () => {
    const joined = new Joined()
    await joined.join()
    let offset = 0
    while (joined.isReading && offset < 100_000) {
      const hundred = Array.from({ length: 100 }, () => ++offset)
      joined.commit(offset, ...hundred)
    }
    expect(offset).toBe(10_100)

    joined.answer(1)
    await settle()
    expect(joined.isReading).toBe(false)
    // All that waited has gone as one commit, of the highest.
    joined.answer(offset)
    await settle()
    expect(joined.isReading).toBe(true)
  })
  it('ends when its last topic is deleted, and the member gives its place up', async () => {
    const joined = new Joined()
    await joined.join()
    joined.topics.delete('t')
    joined.changed()
    joined.clock.runDeferred()
    expect(joined.sink.failures).toHaveLength(1)
    expect(joined.changes.at(-1)).toEqual({ type: 'leave', group: 'g', memberId: 'anna', incarnation: 1 })
  })
  it('counts as heard when the lease is renewed beside it, for the member as it is now alone', async () => {
    const joined = new Joined()
    await joined.join()
    joined.clock.advance(3000)
    expect(joined.session.heard(0)).toBe(false)
    expect(joined.session.beat?.heardMs).not.toBe(3000)
    expect(joined.session.heard(1)).toBe(true)
    expect(joined.session.beat).toEqual({ group: 'g', memberId: 'anna', incarnation: 1, heardMs: 3000 })
  })
  it('that was ended gives the place of a member up that did not name itself, but not where a reset follows', async () => {
    const [ended, reset] = [new Joined(), new Joined()]
    for (const joined of [ended, reset]) {
      joined.isStatic = false
      await joined.join()
      joined.session.onEnd()
    }
    reset.session.onClose(undefined)
    for (const joined of [ended, reset]) joined.clock.advance(1000)
    ended.answer(0)
    await settle()
    expect(ended.changes.at(-1)).toMatchObject({ type: 'leave', memberId: 'anna' })
    expect(ended.sink.ended).toBe(1)
    expect(reset.changes.map(({ type }) => type)).toEqual(['join'])
  })
})
