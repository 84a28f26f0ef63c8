import { describe, expect, it } from 'vitest'
import type { Connections } from '../../src/client/connections.ts'
import { LayoutWatch } from '../../src/client/layout-watch.ts'
import { RpcError, StatusCode, type Connection, type Receiver } from '../../src/env/index.ts'
import type { WatchLayoutResponse } from '../../src/wire/index.ts'
import { FakeClock, fakeRandom } from './fake-world.ts'

const snapshot: WatchLayoutResponse = {
  epoch: 1,
  snapshot: true,
  nodes: [],
  topics: [],
  deletedTopics: [],
}

/** Some nodes answer a watch after so long; the others never do, as machines without power. */
function watchOf(answersAfterMs: Readonly<Record<string, number>>, bootstrap: readonly string[]) {
  const clock = new FakeClock()
  const asked: string[] = []
  const connectionTo = (address: string): Pick<Connection, 'serverStream'> => ({
    serverStream: (_method, _request, receiver) => {
      asked.push(address)
      const answer = answersAfterMs[address]
      const cancelAnswer =
        answer === undefined
          ? () => {}
          : clock.setTimer(answer, () => (receiver as Receiver<unknown>).onMessage(snapshot))
      return {
        pause: () => {},
        resume: () => {},
        cancel: () => {
          cancelAnswer()
          clock.defer(() => receiver.onClose(new RpcError(StatusCode.cancelled, 'Cancelled on client')))
        },
      }
    },
  })
  const connections = { to: connectionTo } as unknown as Connections
  return { clock, asked, watch: new LayoutWatch({ clock, random: fakeRandom() }, connections, bootstrap) }
}

describe('watching the layout', () => {
  // Found by a simulated handler: with n1 without power, it was started again and again and never got an answer.
  it('goes on to the next node when the first is without power, well within the time of a call', async () => {
    const { clock, asked, watch } = watchOf({ 'n2:1': 5 }, ['n1:1', 'n2:1', 'n3:1'])
    await watch.ready(15_000)
    expect(asked).toEqual(['n1:1', 'n2:1'])
    expect(clock.nowMs()).toBeLessThan(5000)
    watch.close()
  })
  it('waits longer each time for a single node that is slow', async () => {
    const { asked, watch } = watchOf({ 'n1:1': 8000 }, ['n1:1'])
    await watch.ready(60_000)
    expect(asked).toHaveLength(3)
    watch.close()
  })
  it('says that nobody answered, not that it gave up', async () => {
    const { watch } = watchOf({}, ['n1:1', 'n2:1'])
    await expect(watch.ready(15_000)).rejects.toMatchObject({
      reason: 'UNREACHABLE',
      message: expect.stringContaining('none of n1:1, n2:1 answered'),
    })
    watch.close()
  })
})
