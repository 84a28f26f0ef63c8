import { leasePlan } from '../core/faults.ts'
import type { Law } from '../core/checkers.ts'
import type { CoreSimulationOptions } from '../core/simulation.ts'
import type { CoreMutant, Edit } from './mutant.ts'

const usual: CoreSimulationOptions = { nodes: 3, chaosMs: 2000 }

export function core(
  name: string,
  does: string,
  source: string,
  laws: readonly Law[],
  edits: readonly Edit[],
  options: CoreSimulationOptions = {},
): CoreMutant {
  return { name, does, source, laws, edits, where: 'core', options: { ...usual, ...options } }
}

const election = 'src/raft/election.ts'
const state = 'src/raft/core.ts'
const raft = 'src/raft/raft.ts'

/** What two histories end in, whichever checker sees it first. */
export const twoHistories: readonly Law[] = [
  'leader-completeness',
  'state-machine-safety',
  'log-matching',
  'election-safety',
  'committed-is-durable',
  'committed-is-kept',
  'acknowledged-lost',
  'durable-before-answer',
  'leader-append-only',
  'assertion',
]

/** Faults of elections, terms and reads. */
export const electionMutants: readonly CoreMutant[] = [
  core(
    'vote-before-write',
    'votes before the vote is written',
    'figure 2',
    ['durable-before-answer'],
    [{ file: election, find: 'core.sendDurably(reply)', put: 'core.send(reply)' }],
  ),
  core(
    'vote-twice',
    'votes twice in a term',
    '§5.2',
    ['election-safety', 'assertion'],
    [
      {
        file: election,
        find: 'return votedFor === request.from || (votedFor === undefined && leader === undefined)',
        put: 'return votedFor !== null || leader !== undefined',
      },
    ],
  ),
  core(
    'term-and-vote-in-two-writes',
    'writes a term first and the vote in it later',
    'hashicorp/raft#661',
    ['durable-before-answer', 'election-safety'],
    [
      {
        file: 'src/raft/durability.ts',
        find: '    const { last } = this.#log\n    const snapshot = this.#snapshot\n',
        put:
          '    if (hardState.term !== this.#handedHardState.term) hardState = { ...hardState, votedFor: undefined }\n' +
          '    const { last } = this.#log\n    const snapshot = this.#snapshot\n',
      },
    ],
  ),
  core(
    'vote-not-written',
    'does not write its votes down',
    'figure 2',
    ['durable-before-answer'],
    [
      {
        file: state,
        find: 'return { term: this.term, votedFor: this.votedFor, commit }',
        put: 'return { term: this.term, votedFor: undefined, commit }',
      },
    ],
  ),
  core(
    'own-vote-not-written',
    'does not write down that it voted for itself',
    'vesoft-inc/nebula#3415',
    ['durable-before-answer', 'election-safety'],
    [
      {
        file: state,
        find: 'return { term: this.term, votedFor: this.votedFor, commit }',
        put: 'return { term: this.term, votedFor: this.votedFor === this.id ? undefined : this.votedFor, commit }',
      },
    ],
  ),
  core(
    'vote-forgotten-on-step-down',
    'forgets its vote when it steps down within a term',
    'microsoft/CCF#5891',
    ['election-safety', 'durable-before-answer', ...twoHistories],
    [
      {
        file: state,
        find: 'if (term !== this.term) this.#enterTerm(term)',
        put: 'if (term !== this.term) this.#enterTerm(term)\n    this.votedFor = undefined',
      },
    ],
  ),
  core('vote-for-shorter-log', 'votes for a log that is shorter than its own', '§5.4.1', twoHistories, [
    {
      file: election,
      find: 'return request.lastTerm > last.term || (request.lastTerm === last.term && request.lastIndex >= last.index)',
      put: 'return request.lastTerm >= last.term',
    },
  ]),
  core('vote-for-longer-log', 'votes for the longer log, whatever its term', '§5.4.1', twoHistories, [
    {
      file: election,
      find: 'return request.lastTerm > last.term || (request.lastTerm === last.term && request.lastIndex >= last.index)',
      put: 'return request.lastIndex >= last.index',
    },
  ]),
  core(
    'no-vote-for-equal-log',
    'gives no vote to a log that is equal to its own',
    '§5.4.1',
    ['progress'],
    [{ file: election, find: 'request.lastIndex >= last.index)', put: 'request.lastIndex > last.index)' }],
  ),
  core(
    'term-of-reply-ignored',
    'pays no heed to a higher term in an answer',
    '§5.1',
    ['assertion', 'election-safety', 'progress'],
    [
      {
        file: raft,
        find: 'if (message.term > core.term && !this.isAboutFutureTerm(message)) {',
        put: "if (message.term > core.term && !this.isAboutFutureTerm(message) && !message.type.endsWith('Reply')) {",
      },
    ],
  ),
  core(
    'term-raised-while-leading',
    'takes a higher term over and goes on leading',
    'hashicorp/raft#695',
    ['assertion', 'election-safety'],
    [
      {
        file: raft,
        find: "    const isRequest = message.type === 'vote' || message.type === 'preVote'\n",
        put:
          "    if (core.role === 'leader' && message.term > core.term) core.term = message.term\n" +
          "    const isRequest = message.type === 'vote' || message.type === 'preVote'\n",
      },
    ],
  ),
  core(
    'pre-votes-count-as-votes',
    'counts a late grant of a pre-vote as a vote',
    'etcd-io/raft, TestCandidateDeliversPreCandidateSelfVoteAfterBecomingCandidate',
    ['election-safety', ...twoHistories],
    [
      {
        file: raft,
        find: 'if (message.term === core.term + (message.granted ? 1 : 0)) this.election.handleReply(message)',
        put: 'this.election.handleReply(message)',
      },
      {
        file: election,
        find: "if (role !== (reply.type === 'preVoteReply' ? 'pre-candidate' : 'candidate')) return",
        put: "if (role !== 'pre-candidate' && role !== 'candidate') return",
      },
    ],
  ),
  core(
    'pre-vote-raises-term',
    'takes the term of a pre-vote for one that somebody has entered',
    'thesis §9.6',
    ['progress'],
    [
      {
        file: raft,
        find: "return message.type === 'preVote' || (message.type === 'preVoteReply' && message.granted)",
        put: "return message.type === 'preVoteReply' && message.granted",
      },
    ],
  ),
  core(
    'no-stickiness',
    'helps to elect another though it hears from its leader',
    'thesis §4.2.3; hashicorp/raft, docs/divergence.md',
    ['stable-leader'],
    [
      {
        file: raft,
        find: 'if (isRequest && !message.transfer && this.election.hearsFromLeader()) {',
        put: 'if (isRequest && !message.transfer && this.election.keepsToLeader()) {',
      },
    ],
  ),
  core(
    'former-leader-never-forgotten',
    'takes a leader for alive until another one is there',
    'hashicorp/raft#605',
    ['progress'],
    [
      {
        file: state,
        find: "    this.role = 'pre-candidate'\n    this.leader = undefined\n",
        put: "    this.role = 'pre-candidate'\n",
      },
      {
        file: election,
        find: 'return leader !== undefined && electionElapsed < config.electionTicks',
        put: 'return leader !== undefined',
      },
    ],
  ),
  core(
    'transfer-asks-like-anybody',
    'does not say that it stands because its leader asked it to',
    'canonical/raft#203',
    ['transfer'],
    [{ file: election, find: "this.#requests('vote', transfer)", put: "this.#requests('vote', false)" }],
  ),
  core(
    'proposals-during-transfer',
    'takes proposals while the leadership moves',
    'thesis §3.10; etcd-io/raft, stepLeader',
    ['transfer'],
    [
      {
        file: raft,
        find: "    if (core.transfer !== undefined) return { ok: false, reason: 'transferring' }\n",
        put: '',
      },
    ],
  ),
  core(
    'silent-to-earlier-terms',
    'does not answer a sender of an earlier term',
    'etcd-io/raft, checkQuorum',
    ['progress'],
    [
      { file: raft, find: '        this.follower.answerEarlierTerm(message.from)\n', put: '' },
      {
        file: raft,
        find:
          "      case 'preVote':\n        this.election.handlePreVote(message)\n        return\n" +
          "      case 'vote':\n        this.core.send({\n",
        put: "      case 'preVote':\n        return\n      case 'vote':\n        this.core.send({\n",
      },
    ],
  ),
  core(
    'leads-though-deaf',
    'goes on leading though it hears from no majority',
    'thesis §6.2, CheckQuorum',
    ['gives-way'],
    [{ file: 'src/raft/replication.ts', find: '!heardFromQuorum || ', put: '' }],
  ),
  core(
    'leads-though-stalled',
    'goes on leading though its disk hangs',
    'hashicorp/raft#503',
    ['gives-way'],
    [
      {
        file: 'src/raft/replication.ts',
        find: ' || core.durability.ticksWaiting >= config.stalledDiskTicks',
        put: '',
      },
    ],
  ),
  core(
    'read-without-quorum',
    'reads without asking a majority',
    'thesis §6.4',
    ['linearizable-read'],
    [
      {
        file: 'src/raft/read-index.ts',
        find: 'return id === core.id || (core.follower(id)?.readRound ?? 0) >= round',
        put: 'return id === core.id || round > 0',
      },
    ],
  ),
  core(
    'read-by-older-round',
    'takes the answer to an earlier round for one to this',
    'etcd-io/etcd#20418',
    ['linearizable-read'],
    [
      {
        file: 'src/raft/read-index.ts',
        find: 'return id === core.id || (core.follower(id)?.readRound ?? 0) >= round',
        put: 'return id === core.id || (core.follower(id)?.readRound ?? 0) >= Math.min(1, round)',
      },
    ],
  ),
  core(
    'read-before-own-term',
    'reads before an entry of its own term is committed',
    'etcd-io/etcd#7331',
    ['linearizable-read'],
    [
      {
        file: 'src/raft/read-index.ts',
        find: 'core.waitingReads.length > 0 && core.ownTermCommitted()',
        put: 'core.waitingReads.length > 0',
      },
    ],
  ),
  core(
    'lease-after-transfer',
    'trusts its lease after a transfer began',
    'thesis §6.4.1',
    ['linearizable-read'],
    [
      {
        file: 'src/raft/lease.ts',
        find: "core.role !== 'leader' || core.leaseBroken)",
        put: "core.role !== 'leader')",
      },
    ],
    { leases: true, plan: leasePlan },
  ),
  core(
    'lease-promise-broken',
    'breaks the promise on which a lease rests',
    'thesis §6.4.1; etcd-io/raft, ReadOnlyLeaseBased',
    ['linearizable-read', 'stable-leader'],
    [
      {
        file: election,
        find: 'return config.leaseClockDriftPercent !== undefined && ticks - leaderHeardTick < config.electionTicks',
        put: 'return ticks < leaderHeardTick',
      },
      {
        file: election,
        find: 'return leader !== undefined && electionElapsed < config.electionTicks',
        put: 'return leader !== undefined && electionElapsed < 0',
      },
    ],
    { leases: true, plan: { ...leasePlan, weights: { ...leasePlan.weights, campaign: 8, transfer: 0 } } },
  ),
]
