import type { Law } from '../checkers/violation.ts'
import type { PlanOptions } from '../plan.ts'
import type { BrokerMutant, Edit } from './mutant.ts'

const usual: PlanOptions = { nodes: 3, members: 0, durationMs: 15_000 }

export function broker(
  name: string,
  does: string,
  source: string,
  laws: readonly Law[],
  edits: readonly Edit[],
  options: PlanOptions = {},
): BrokerMutant {
  return { name, does, source, laws, edits, where: 'brokers', options: { ...usual, ...options } }
}

const replica = 'src/broker/replica.ts'
const machine = 'src/broker/partition/machine.ts'
const replies = 'src/broker/replies.ts'
const producers = 'src/broker/partition/producers.ts'
const session = 'src/broker/reading/read-session.ts'

/** Faults of deciding, answering, reading and of groups that go quiet. */
export const brokerMutants: readonly BrokerMutant[] = [
  broker(
    'answer-before-commit',
    'acknowledges an append before it is committed',
    'Jepsen, NATS 2.12.1',
    ['acknowledged-not-durable'],
    [
      {
        file: replies,
        find: '    this.#waiting.push({\n      index,\n      term,\n      replies: replies.map(({ reply, result }) => ({ reply, result, answered: false })),\n    })\n',
        put: '    for (const { reply, result } of replies) reply.done(result)\n',
      },
    ],
  ),
  broker(
    'answer-by-index',
    'lets those wait who waited when it lost the leadership, and takes whatever is committed at their index for their entry',
    'Raft, §8; reference, mutant 21',
    ['acknowledged-not-durable', 'acknowledged-lost', 'offset-reassigned', 'duplicate'],
    // Who loses the leadership has answered all before it folds anything of the next leader: either alone is enough.
    [
      { file: machine, find: '    this.#replies.failAll(error)\n', put: '' },
      {
        file: replies,
        find: 'const committed = waiting.index === index && waiting.term === term',
        put: 'const committed = waiting.index <= index && term >= waiting.term',
      },
    ],
  ),
  broker(
    'duplicate-answered-before-commit',
    'acknowledges a batch that it has seen before, though that one is not committed',
    'this design',
    // What was acknowledged is known to be there, and a linearizable read doesn't reach it yet.
    ['acknowledged-not-durable', 'stale-read'],
    [
      {
        file: machine,
        find: 'if (newest !== undefined && newest.index > this.#foldedIndex) {',
        put: 'if (newest !== undefined && newest.index < 0) {',
      },
    ],
  ),
  broker(
    'decides-before-fold',
    'decides before it has folded what earlier leaders left',
    'this design, §1',
    ['node-gave-up', 'internal-error'],
    [
      {
        file: replica,
        find: ' || this.#foldedIndex !== status.last.index)\n      return\n    this.#deciding = true',
        put: ')\n      return\n    this.#deciding = true',
      },
    ],
  ),
  broker(
    'producers-unknown',
    'takes every batch for a new one',
    'Redpanda #3039',
    ['duplicate', 'zombie-wrote'],
    [
      {
        file: producers,
        find: '  check(producer: ProducerIdentity): SequenceCheck {\n',
        put: "  check(producer: ProducerIdentity): SequenceCheck {\n    if (producer.sequence >= 0) return { type: 'next' }\n",
      },
    ],
  ),
  broker(
    'producers-lost-by-leader',
    'forgets the producers when the leader changes',
    'Redpanda #3039, by Jepsen 21.10.1',
    ['duplicate', 'internal-error', 'key-order'],
    [
      {
        file: 'src/broker/partition/state.ts',
        find: '      this.producers.clone(),\n',
        put: '      new ProducerTable(this.producers.limit),\n',
      },
    ],
  ),
  broker(
    'producers-lost-by-state',
    'stores its state without the producers',
    'Redpanda #3039, by Jepsen 21.10.1',
    ['divergence', 'producer-forgotten', 'duplicate', 'internal-error', 'key-order'],
    [
      {
        file: 'src/broker/partition/state.ts',
        find: '      producers.restore(producerId, { epoch, recent })\n',
        put: '',
      },
    ],
  ),
  broker(
    'zombies-not-fenced',
    'takes batches of a producer that was replaced',
    'Kafka KIP-98',
    // Its batch may also be taken for its successor's with that number, and be answered with that one's place.
    ['zombie-wrote', 'key-order', 'duplicate', 'offset-reassigned'],
    [{ file: producers, find: '    if (epoch < known.epoch) {\n', put: '    if (epoch < 0) {\n' }],
  ),
  broker(
    'read-without-majority',
    'confirms a read without asking a majority',
    'thesis §6.4',
    // The auditor asks for a partition's end by such a read, and may be the first who gets one that is too low.
    ['stale-read', 'acknowledged-lost'],
    [
      {
        file: replica,
        find: "    this.step({ type: 'read', context: this.#reads.add(read) })\n",
        put: '    read.done(undefined)\n',
      },
    ],
  ),
  broker(
    'read-before-fold',
    'reads before it has folded what was committed when it was asked',
    'thesis §6.4; etcd-io/raft, ReadIndex',
    ['stale-read'],
    [
      {
        file: 'src/broker/linearizable-reads.ts',
        find: 'if (index <= foldedIndex) read.done(undefined)',
        put: 'if (foldedIndex >= 0) read.done(undefined)',
      },
    ],
    // Of a leader whose disk is slower than the others': it knows more to be committed than it has folded.
    { faults: ['disk-slow', 'disk-stall', 'slow-reader'], everyFault: true },
  ),
  broker(
    'read-beyond-watermark',
    'sends records beyond the high watermark',
    'Redpanda #3036',
    ['reader-gap', 'offset-reassigned', 'failed-but-there', 'internal-error', 'divergence'],
    [
      {
        file: replica,
        find: 'get foldedIndex(): LogIndex {\n    return this.#foldedIndex\n',
        put: 'get foldedIndex(): LogIndex {\n    return this.status().last.index\n',
      },
    ],
  ),
  broker(
    'watermark-of-undecided',
    'calls committed what it has only proposed, and takes it back',
    'Kafka KIP-279; Redpanda #3036',
    ['watermark-back', 'reader-gap', 'internal-error', 'offset-reassigned', 'stale-read'],
    [
      {
        file: machine,
        find: 'get highWatermark(): Offset {\n    return this.#state.nextOffset\n',
        put: 'get highWatermark(): Offset {\n    return this.#view?.nextOffset ?? this.#state.nextOffset\n',
      },
    ],
  ),
  broker(
    'read-starts-late',
    'begins to read after the record that was asked for',
    'Jepsen, poll-skip',
    ['reader-gap', 'stale-read', 'internal-error', 'progress'],
    [
      {
        file: session,
        find: '(event) => event.baseOffset + event.recordCount > offset,',
        put: '(event) => event.baseOffset > offset,',
      },
    ],
  ),
  broker(
    'reader-not-woken',
    'does not wake readers when there is something new',
    'reference, mutant 38',
    ['progress'],
    [
      {
        file: session,
        find: '    this.#cleanups.push(this.#partition.machine.onAdvance(() => this.#pump()))\n',
        put: '',
      },
    ],
  ),
  broker(
    'state-not-at-its-index',
    'stores its state with an index that is not the one it was folded to',
    'etcd-io/etcd#13766',
    ['node-gave-up', 'internal-error', 'divergence'],
    [
      {
        file: replica,
        find: 'const applied = { index: this.#foldedIndex, state,',
        put: 'const applied = { index: (this.#foldedIndex - 1) as LogIndex, state,',
      },
    ],
  ),
  broker(
    'quiet-before-all-have-it',
    'lets its group go quiet though a follower lacks entries, which agrees',
    'CockroachDB, quiescence',
    ['progress'],
    [
      {
        file: replica,
        find: 'const alike = reached.every(({ match, recentlyActive }) => recentlyActive && match === status.last.index)',
        put: 'const alike = reached.length >= 0',
      },
      {
        file: replica,
        find: ' || last.index !== index || this.#foldedIndex !== index) return',
        put: ') return',
      },
    ],
  ),
  broker(
    'quiet-for-ever',
    'stays quiet when the node that leads is gone',
    'CockroachDB, quiescence',
    ['progress'],
    [
      {
        file: replica,
        find: '  wakeUp(): void {\n    if (this.#stopped) return\n    this.#quiet = false\n',
        put: '  wakeUp(): void {\n    if (this.#stopped) return\n',
      },
    ],
  ),
  broker(
    'quiet-though-stepped-down',
    'goes quiet in the tick in which its leader steps down',
    'found here, seed 20004',
    ['progress'],
    [
      {
        file: replica,
        find: "      status.role === 'leader' &&\n      this.#deciding &&",
        put: '      this.#deciding &&',
      },
    ],
    { faults: ['pause', 'pause-leader', 'isolate-leader', 'partition'] },
  ),
  broker(
    'forwarded-lost-is-no-effect',
    'says that nothing was appended when it lost the node that it had passed a batch on to',
    'reference, clients',
    ['failed-but-there'],
    [
      {
        file: 'src/broker/routing/forwarded-appends.ts',
        find: 'const certain = unsent.has(correlationId) || error?.neverSent === true',
        put: 'const certain = unsent.size >= 0 || error?.neverSent === true',
      },
    ],
    { faults: ['reset'], everyFault: true },
  ),
  broker(
    'real-clock',
    'looks at the real clock',
    'this design, §3',
    ['outside-reached', 'node-gave-up', 'internal-error'],
    [{ file: machine, find: 'this.#clock.wallMs()', put: 'Date.now()' }],
  ),
]

const sender = 'src/client/producer/partition-sender.ts'

/** Faults of the client library. */
export const clientMutants: readonly BrokerMutant[] = [
  broker(
    'retry-with-new-number',
    'a client that sends a batch again under another number',
    'Kafka KIP-98',
    // Where the first try had not arrived its number is missing for ever, and nothing behind it is taken.
    ['duplicate', 'progress'],
    [
      {
        file: sender,
        find: '    batch.out = true\n    this.#outCount++\n',
        put:
          '    if (batch.mayBeAppended) batch.sequence = this.#nextSequence++\n' +
          '    batch.out = true\n    this.#outCount++\n',
      },
    ],
  ),
  broker(
    'timeout-is-no-effect',
    'a client that says nothing was appended when it only got no answer',
    'Jepsen, Kafka workload, aborted read',
    ['failed-but-there'],
    [
      {
        file: sender,
        find: "    if (mayBeAppended) return new FlotillaError('UNKNOWN_OUTCOME', message, { cause })\n",
        put: '',
      },
      { file: sender, find: "error.effect === 'none' ? this.#unknownOutcome(error) : error", put: 'error' },
    ],
  ),
  broker(
    'number-given-twice',
    'a client that gives the number of a batch of unknown outcome to the next one',
    'Kafka KIP-360',
    ['duplicate', 'offset-reassigned', 'acknowledged-lost', 'failed-but-there'],
    [{ file: sender, find: 'if (!doubt && !this.#epochRefused) {', put: 'if (!this.#epochRefused) {' }],
  ),
  broker(
    'reader-skips-after-loss',
    'a client that goes on one record too late after it lost its stream',
    'Jepsen, Kafka workload, poll-skip',
    ['reader-gap'],
    [
      {
        file: 'src/client/reader/read-position.ts',
        find: "{ type: 'offset', offset: this.#nextOffset }",
        put: "{ type: 'offset', offset: this.#nextOffset + 1 }",
      },
      {
        file: 'src/client/reader/read-position.ts',
        find: '      if (batch.baseOffset > this.#nextOffset) throw this.#gap(batch.baseOffset)\n',
        put: '      if (batch.baseOffset > this.#nextOffset) this.#nextOffset = batch.baseOffset\n',
      },
    ],
  ),
]
