import { encodeEnvelopeInPieces, type EncodedEnvelope, type GroupMessage } from './peer-codec.ts'

/**
 * Encodes a turn's messages to several peers. A leader tells all followers that keep up the very same entries, and an
 * envelope doesn't say whom it is for, so their bytes are made once; with two followers that halves the copying.
 */
export class EnvelopeEncoder {
  #messages: readonly GroupMessage[] = []
  #bytes: EncodedEnvelope | undefined

  encode(messages: readonly GroupMessage[]): EncodedEnvelope {
    if (this.#bytes !== undefined && sameAppends(messages, this.#messages)) return this.#bytes
    this.#messages = messages
    this.#bytes = encodeEnvelopeInPieces({ nodeId: undefined, messages, leaders: [], quiet: [] })
    return this.#bytes
  }

  /** Lets go of the last bytes: at the end of a turn. */
  forget(): void {
    this.#messages = []
    this.#bytes = undefined
  }
}

function sameAppends(some: readonly GroupMessage[], others: readonly GroupMessage[]): boolean {
  return some.length === others.length && some.every((message, index) => sameAppend(message, others[index]))
}

function sameAppend({ groupId, message }: GroupMessage, other: GroupMessage | undefined): boolean {
  if (other === undefined || groupId !== other.groupId) return false
  if (message.type !== 'append' || other.message.type !== 'append') return false
  const { entries, previous, term, commit, life } = other.message
  return (
    message.term === term &&
    message.commit === commit &&
    message.life === life &&
    message.previous.index === previous.index &&
    message.previous.term === previous.term &&
    message.previous.digest === previous.digest &&
    message.entries.length === entries.length &&
    message.entries.every((entry, index) => entry === entries[index])
  )
}
