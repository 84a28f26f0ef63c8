import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { asNodeId, decodeConfiguration, encodeConfiguration } from '../../src/raft/index.ts'

const nodeIds = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }).map(asNodeId), {
  maxLength: 6,
})

describe('the header of a configuration entry', () => {
  const encoded = encodeConfiguration({
    voters: ['n1', 'n2'].map(asNodeId),
    votersOutgoing: [],
    learners: [asNodeId('n3')],
  })

  test('is refused when it is of another version, cut short, or too long', () => {
    expect(() => decodeConfiguration(Uint8Array.from([9, 0, 0, 0]))).toThrow('raft.configuration-version')
    for (let length = 1; length < encoded.length; length += 1) {
      expect(() => decodeConfiguration(encoded.subarray(0, length))).toThrow('raft.configuration-truncated')
    }
    expect(() => decodeConfiguration(Uint8Array.from([...encoded, 0]))).toThrow('raft.configuration-trailing')
  })

  test('can not hold an id without a name or with one that is too long', () => {
    const withId = (id: string) => ({ voters: [asNodeId(id)], votersOutgoing: [], learners: [] })
    expect(() => encodeConfiguration(withId(''))).toThrow('raft.configuration-id')
    expect(() => encodeConfiguration(withId('x'.repeat(250)))).toThrow('raft.configuration-id')
  })

  test('has a form that never changes, because it is on disk', () => {
    expect(Buffer.from(encoded).toString('hex')).toBe('0102026e31026e320001026e33')
  })

  test.prop([nodeIds, nodeIds, nodeIds])('comes back as it went in', (voters, votersOutgoing, learners) => {
    const configuration = { voters, votersOutgoing, learners }
    expect(decodeConfiguration(encodeConfiguration(configuration))).toEqual(configuration)
  })
})
