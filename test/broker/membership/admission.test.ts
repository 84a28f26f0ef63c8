import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Admission, nextAdmissionStep, type AdmissionNode } from '../../../src/broker/membership/admission.ts'
import type { RegisterNodeRequest } from '../../../src/broker/peers/peer-methods.ts'
import type { Standing } from '../../../src/broker/peers/peer-codec.ts'
import { asNodeId, type NodeId } from '../../../src/raft/types.ts'
import { FlotillaError } from '../../../src/wire/errors.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/until.ts'
import { quietLogger } from '../support/quiet-logger.ts'

const OTHERS = ['n2', 'n3'].map((nodeId) => ({ nodeId, address: `${nodeId}:1` }))
const NOBODY: ReadonlySet<string> = new Set()
const standings = (of: Record<string, Standing>): Map<NodeId, Standing> =>
  new Map(Object.entries(of).map(([nodeId, standing]) => [asNodeId(nodeId), standing]))

/** Node n1 of a list of three, and what it asks of the others. */
class Bench {
  readonly clock = new ManualClock()
  readonly asked: { readonly address: string; readonly fresh: boolean; readonly knownLife?: number }[] = []
  readonly requestIds: (string | undefined)[] = []
  /** Lives under which it was let in. */
  readonly entered: number[] = []
  readonly learnt: string[] = []
  readonly failures: Error[] = []
  readonly standings = new Map<NodeId, Standing>()
  readonly strangers = new Set<string>()
  isRegistered = false
  refusal: FlotillaError | undefined
  readonly admission: Admission

  /** `newestLife`: the last that the cluster gave to this node. */
  constructor({ isHosting = true, newestLife = 0 } = {}) {
    const connection = (address: string): unknown => ({
      unary: (_method: unknown, request: RegisterNodeRequest) => {
        const { freshRequestId, knownLife } = request
        const known = knownLife === undefined ? {} : { knownLife }
        this.asked.push({ address, fresh: freshRequestId !== undefined, ...known })
        this.requestIds.push(freshRequestId)
        if (this.refusal !== undefined) return Promise.reject(this.refusal)
        const isLate = knownLife !== undefined && knownLife < newestLife
        return Promise.resolve({
          clusterId: 'c',
          life: isLate ? newestLife : newestLife + 1,
          isLate,
          nodes: [{ nodeId: 'n4', address: 'n4:1', hostLabel: '' }],
        })
      },
    })
    const isRegistered = (): boolean => this.isRegistered
    const node: AdmissionNode = {
      isHosting,
      get isRegistered() {
        return isRegistered()
      },
      mayFound: false,
      standings: this.standings,
      strangers: this.strangers,
      connections: { to: connection } as unknown as AdmissionNode['connections'],
      onStanding: () => () => undefined,
      found: () => this.failures.push(new Error('it founded')),
      enter: ({ life }) => {
        if (isHosting) return Promise.reject(new Error('it entered anew'))
        this.entered.push(life)
        return Promise.resolve()
      },
      learnNodes: (nodes) => this.learnt.push(...nodes.map(({ nodeId }) => nodeId)),
      fail: (error) => this.failures.push(error),
    }
    const random = { below: () => 0, bytes: (count: number) => new Uint8Array(count) }
    const entry = { nodeId: 'n1', address: 'n1:1', hostLabel: 'n1' }
    const cluster = [entry, ...OTHERS]
    this.admission = new Admission(
      node,
      entry,
      { clusterName: 'c', cluster },
      { clock: this.clock, random, logger: quietLogger },
    )
  }
}

describe('a node that was taken in, and stopped before it had heard of the others', () => {
  it('asks those of its list that know the cluster where all are, and no more once it knows', async () => {
    const bench = new Bench()
    bench.admission.start()
    expect(bench.asked).toEqual([])
    bench.standings.set(asNodeId('n2'), 'founding')
    bench.standings.set(asNodeId('n3'), 'established')
    bench.clock.advance(1000)
    expect(bench.asked[0]).toEqual({ address: 'n3:1', fresh: false })
    await until('it has learnt of n4', () => bench.learnt.includes('n4'))
    bench.isRegistered = true
    bench.clock.advance(1000)
    const before = bench.asked.length
    bench.clock.advance(10_000)
    expect(bench.asked).toHaveLength(before)
    expect(bench.failures).toEqual([])
  })
})

describe('a node that was removed, starts again, and still has a vote in the metadata group', () => {
  it('goes on, for the group may need it to let it go; who has another id or cluster than it thinks gives up', async () => {
    const bench = new Bench()
    bench.standings.set(asNodeId('n3'), 'established')
    bench.refusal = new FlotillaError('NODE_REMOVED', 'node n1 was removed from the cluster')
    bench.admission.start()
    await until('it was refused', () => bench.asked.length > 0)
    await until('it asks again', () => {
      bench.clock.advance(1000)
      return bench.asked.length > 1
    })
    expect(bench.failures).toEqual([])
    bench.refusal = new FlotillaError('CLUSTER_MISMATCH', 'another cluster')
    await until('it gives up', () => {
      bench.clock.advance(1000)
      return bench.failures.length > 0
    })
  })
})

describe('a node that had lives of which it knows nothing', () => {
  it('is told so, and asks again with what it was told, under the same name', async () => {
    const bench = new Bench({ isHosting: false, newestLife: 4 })
    bench.standings.set(asNodeId('n2'), 'established')
    bench.admission.start()
    await until('it was let in', () => bench.entered.length > 0)
    expect(bench.entered).toEqual([5])
    expect(bench.asked.map(({ knownLife }) => knownLife)).toEqual([0, 4])
    expect(new Set(bench.requestIds).size).toBe(1)
    expect(bench.failures).toEqual([])
  })
})

describe('a node with an empty disk', () => {
  it('waits for those of the list from which it hasn’t heard', () => {
    expect(nextAdmissionStep(OTHERS, standings({ n2: 'fresh' }), true, NOBODY)).toEqual({
      type: 'wait',
      missing: ['n3'],
    })
    expect(nextAdmissionStep(OTHERS, standings({ n2: 'founding' }), true, NOBODY)).toEqual({
      type: 'wait',
      missing: ['n3'],
    })
  })

  it('founds when all are there and none knows a cluster', () => {
    expect(nextAdmissionStep(OTHERS, standings({ n2: 'fresh', n3: 'founding' }), true, NOBODY)).toEqual({
      type: 'found',
    })
  })

  it('never founds where it belonged to a cluster before', () => {
    expect(nextAdmissionStep(OTHERS, standings({ n2: 'fresh', n3: 'fresh' }), false, NOBODY).type).toBe(
      'wait',
    )
  })

  it('is taken in by one that it doesn’t know and that dials in, where those of the list have all left', () => {
    const strangers = new Set(['n4:1'])
    const entering = { type: 'enter', addresses: ['n4:1'] }
    expect(nextAdmissionStep(OTHERS, standings({}), true, strangers)).toEqual(entering)
    expect(nextAdmissionStep(OTHERS, standings({ n2: 'fresh', n3: 'fresh' }), true, strangers)).toEqual(
      entering,
    )
  })

  it('never founds next to one that knows a cluster, whatever the others say', () => {
    const standing = fc.constantFrom<Standing>('fresh', 'founding', 'established')
    fc.assert(
      fc.property(standing, standing, (n2, n3) => {
        const step = nextAdmissionStep(OTHERS, standings({ n2, n3 }), true, NOBODY)
        const isKnown = n2 === 'established' || n3 === 'established'
        expect(step.type).toBe(isKnown ? 'enter' : 'found')
      }),
    )
  })
})
