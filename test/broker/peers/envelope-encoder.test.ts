import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EnvelopeEncoder } from '../../../src/broker/peers/envelope-encoder.ts'
import { encodeEnvelope, inOnePiece, type GroupMessage } from '../../../src/broker/peers/peer-codec.ts'
import { asGroupId } from '../../../src/log/types.ts'
import { asLogIndex, asNodeId, asTerm, type Message } from '../../../src/raft/types.ts'
import { messageOfType } from './messages.ts'

const alone = (messages: readonly GroupMessage[]): Uint8Array =>
  encodeEnvelope({ nodeId: undefined, messages, leaders: [], quiet: [] })

const append = messageOfType.append.filter(
  (message) => message.type === 'append' && message.entries.length > 0,
)
/** Another number that is as safe. */
const another = (number: number): number => (number === 0 ? 1 : number - 1)
const groupMessage = (message: Message, group = 7): GroupMessage => ({ groupId: asGroupId(group), message })

describe('an encoder of envelopes', () => {
  it('gives every peer the bytes that its own messages have, whatever it encoded before', () => {
    const any = fc.oneof(...Object.values(messageOfType)).map((message) => groupMessage(message))
    fc.assert(
      fc.property(
        fc.array(any, { maxLength: 3 }),
        fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 6 }),
        (pool, picks) => {
          const encoder = new EnvelopeEncoder()
          for (const pick of picks) {
            const messages = pool.slice(pick)
            expect(Buffer.compare(inOnePiece(encoder.encode(messages)), alone(messages))).toBe(0)
          }
        },
      ),
    )
  })

  it('encodes the same entries for two followers once', () => {
    fc.assert(
      fc.property(append, (message) => {
        const encoder = new EnvelopeEncoder()
        const first = encoder.encode([groupMessage({ ...message, to: asNodeId('n2') })])
        expect(encoder.encode([groupMessage({ ...message, to: asNodeId('n3') })]) === first).toBe(true)
        encoder.forget()
        expect(encoder.encode([groupMessage({ ...message, to: asNodeId('n3') })]) === first).toBe(false)
      }),
    )
  })

  it('encodes anew what differs in a field, an entry or its group', () => {
    fc.assert(
      fc.property(append, (message) => {
        if (message.type !== 'append') throw new Error('the filter lets appends through alone')
        const { previous, entries } = message
        const variants: Message[] = [
          { ...message, term: asTerm(another(message.term)) },
          { ...message, commit: asLogIndex(another(message.commit)) },
          { ...message, life: 9 },
          { ...message, previous: { ...previous, index: asLogIndex(another(previous.index)) } },
          { ...message, previous: { ...previous, term: asTerm(another(previous.term)) } },
          { ...message, previous: { ...previous, digest: (previous.digest ^ 1n) as typeof previous.digest } },
          { ...message, entries: entries.slice(1) },
          { ...message, entries: entries.map((entry) => ({ ...entry })) },
        ]
        const encoder = new EnvelopeEncoder()
        for (const variant of variants) {
          const bytes = encoder.encode([groupMessage(message)])
          expect(encoder.encode([groupMessage(variant)]) === bytes).toBe(false)
        }
        const bytes = encoder.encode([groupMessage(message)])
        expect(encoder.encode([groupMessage(message, 8)]) === bytes).toBe(false)
      }),
    )
  })
})
