import { describe, expect, it } from 'vitest'
import { FlotillaError, validateNodeId, validateProducerId, validateTopicName } from '../../src/wire/index.ts'

describe('names', () => {
  it.each(['', '.', '..', 'a b', 'ä', 'a/b', 'x'.repeat(250), 'a\n'])(
    '%j is refused with the rule',
    (name) => {
      expect(() => validateTopicName(name)).toThrow(FlotillaError)
      expect(() => validateTopicName(name)).toThrow('is no topic name: use 1 to 249 of a-z')
      expect(() => validateNodeId(name)).toThrow('is no node name')
    },
  )
  it('an error about a long name is short', () => {
    expect(() => validateTopicName('x'.repeat(100_000))).toThrow(/^.{1,250}$/)
  })
  it.each(['a', '...', 'Orders-2_v1.x', 'x'.repeat(249)])('%j is taken', (name) => {
    expect(validateTopicName(name)).toBeUndefined()
  })
  it('a producer id has 1 to 64 bytes', () => {
    expect(() => validateProducerId('')).toThrow('has 0 bytes')
    expect(() => validateProducerId('ü'.repeat(33))).toThrow('has 66 bytes; use 1 to 64')
    expect(validateProducerId('ü'.repeat(32))).toBeUndefined()
  })
})
