import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nextAdmissionStep } from '../../../src/broker/membership/admission.ts'
import type { Standing } from '../../../src/broker/peers/peer-codec.ts'
import { asNodeId, type NodeId } from '../../../src/raft/types.ts'

const OTHERS = ['n2', 'n3'].map((nodeId) => ({ nodeId, address: `${nodeId}:1` }))
const standings = (of: Record<string, Standing>): Map<NodeId, Standing> =>
  new Map(Object.entries(of).map(([nodeId, standing]) => [asNodeId(nodeId), standing]))

describe('a node with an empty disk', () => {
  it('waits for those of the list from which it hasn’t heard', () => {
    expect(nextAdmissionStep(OTHERS, standings({ n2: 'fresh' }), true)).toEqual({
      type: 'wait',
      missing: ['n3'],
    })
    expect(nextAdmissionStep(OTHERS, standings({ n2: 'founding' }), true)).toEqual({
      type: 'wait',
      missing: ['n3'],
    })
  })

  it('founds when all are there and none knows a cluster', () => {
    expect(nextAdmissionStep(OTHERS, standings({ n2: 'fresh', n3: 'founding' }), true)).toEqual({
      type: 'found',
    })
  })

  it('never founds where it belonged to a cluster before', () => {
    expect(nextAdmissionStep(OTHERS, standings({ n2: 'fresh', n3: 'fresh' }), false).type).toBe('wait')
  })

  it('never founds next to one that knows a cluster, whatever the others say', () => {
    const standing = fc.constantFrom<Standing>('fresh', 'founding', 'established')
    fc.assert(
      fc.property(standing, standing, (n2, n3) => {
        const step = nextAdmissionStep(OTHERS, standings({ n2, n3 }), true)
        const isKnown = n2 === 'established' || n3 === 'established'
        expect(step.type).toBe(isKnown ? 'enter' : 'found')
      }),
    )
  })
})
