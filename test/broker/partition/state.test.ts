import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RecordsAppended } from '../../../src/broker/partition/event.ts'
import { PartitionState } from '../../../src/broker/partition/state.ts'
import { asOffset } from '../../../src/log/types.ts'
import { history } from './arbitraries.ts'

const LIMIT = 4
const hexOf = (state: PartitionState): string => Buffer.from(state.encode()).toString('hex')

function folded(events: readonly RecordsAppended[], state = PartitionState.empty(LIMIT)): PartitionState {
  for (const event of events) state.fold(event)
  return state
}

const batch = { recordCount: 2, byteLength: 9, producer: undefined }
const event = { baseOffset: asOffset(0), recordCount: 2, appendTimeMs: 5, batches: [batch], groups: [] }

describe('the folded state of a partition', () => {
  it('stops at an event that leaves a gap in the offsets', () => {
    expect(() => folded([{ ...event, baseOffset: asOffset(1) }])).toThrow('state.offsets-dense')
  })

  it('stops at an event whose append time goes back', () => {
    expect(() => folded([event, { ...event, baseOffset: asOffset(2), appendTimeMs: 4 }])).toThrow(
      'state.append-time-monotone',
    )
  })

  it('stops at an event that counts its records wrong', () => {
    expect(() => folded([{ ...event, recordCount: 3 }])).toThrow('state.record-count')
  })

  it('refuses bytes of another version, and bytes that are cut short or too long', () => {
    const bytes = Buffer.from(folded([event]).encode())
    expect(() => PartitionState.decode(Buffer.concat([bytes, Buffer.of(0)]), LIMIT)).toThrow(
      'state.decoded-length',
    )
    for (let length = 1; length < bytes.length; length++) {
      expect(() => PartitionState.decode(bytes.subarray(0, length), LIMIT)).toThrow()
    }
    bytes[0] = 9
    expect(() => PartitionState.decode(bytes, LIMIT)).toThrow('state.version')
  })

  it('begins empty where nothing was stored', () => {
    expect(hexOf(PartitionState.decode(new Uint8Array(0), LIMIT))).toBe(hexOf(PartitionState.empty(LIMIT)))
  })

  it('is the same after encoding and decoding, and so is its copy', () => {
    fc.assert(
      fc.property(history, (events) => {
        const state = folded(events)
        expect(hexOf(PartitionState.decode(state.encode(), LIMIT))).toBe(hexOf(state))
        expect(hexOf(state.clone())).toBe(hexOf(state))
      }),
    )
  })

  it('is the same on a replica that was restarted in between, at any place', () => {
    fc.assert(
      fc.property(history, fc.nat({ max: 20 }), (events, at) => {
        const restarted = PartitionState.decode(folded(events.slice(0, at)).encode(), LIMIT)
        expect(hexOf(folded(events.slice(at), restarted))).toBe(hexOf(folded(events)))
      }),
    )
  })

  it('is not touched by what its copy folds', () => {
    fc.assert(
      fc.property(history, fc.nat({ max: 20 }), (events, at) => {
        const state = folded(events.slice(0, at))
        const before = hexOf(state)
        folded(events.slice(at), state.clone())
        expect(hexOf(state)).toBe(before)
      }),
    )
  })
})
