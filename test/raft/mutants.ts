import {
  Raft,
  asDigest,
  isVoter,
  type Bootstrap,
  type Message,
  type RaftConfig,
} from '../../src/raft/index.ts'
import type { Law } from '../../sim/core/checkers.ts'
import { leasePlan } from '../../sim/core/faults.ts'
import type { CoreSimulationOptions } from '../../sim/core/simulation.ts'

type Random = (bound: number) => number

/** A core with one known bug, and the laws by which it may be noticed. */
export interface Mutant {
  readonly name: string
  /** Where the bug is from. */
  readonly source: string
  readonly laws: readonly Law[]
  /** Where it shows soonest. */
  readonly options: CoreSimulationOptions
  readonly create: (config: RaftConfig, bootstrap: Bootstrap, random: Random) => Raft
}

/** Bugs are put in from outside: the production code has no switch for them. */
function mutant(
  name: string,
  source: string,
  laws: readonly Law[],
  breakIt: (raft: Raft) => void,
  options: CoreSimulationOptions = {},
): Mutant {
  return {
    name,
    source,
    laws,
    options: { nodes: 3, chaosMs: 2000, ...options },
    create: (config, bootstrap, random) => {
      const raft = new Raft(config, bootstrap, random)
      breakIt(raft)
      return raft
    },
  }
}

export const mutants: readonly Mutant[] = [
  mutant('counts an entry of an earlier term', '§5.4.2, figure 8', ['commit-own-term'], (raft) => {
    raft['replication'].mayCommit = () => true
  }),
  mutant('acknowledges before it is written', 'Jepsen, NATS 2.12.1', ['durable-before-answer'], (raft) => {
    const core = raft['core']
    const sendDurably = core.sendDurably.bind(core)
    core.sendDurably = (message: Message) =>
      message.type === 'appendReply' ? core.send(message) : sendDurably(message)
  }),
  mutant('votes before it is written', 'figure 2', ['durable-before-answer'], (raft) => {
    const core = raft['core']
    const sendDurably = core.sendDurably.bind(core)
    core.sendDurably = (message: Message) =>
      message.type === 'voteReply' && message.to !== core.id ? core.send(message) : sendDurably(message)
  }),
  mutant('votes twice in a term', '§5.2', ['election-safety', 'assertion'], (raft) => {
    raft['election'].mayVoteFor = () => true
  }),
  mutant(
    'votes for a shorter log',
    '§5.4.1',
    ['leader-completeness', 'state-machine-safety', 'assertion'],
    (raft) => {
      raft['election'].isUpToDate = (request) => request.lastTerm >= raft['core'].log.last.term
    },
  ),
  mutant(
    'votes for the longer log, whatever its term',
    '§5.4.1',
    ['leader-completeness', 'state-machine-safety', 'assertion'],
    (raft) => {
      raft['election'].isUpToDate = (request) => request.lastIndex >= raft['core'].log.last.index
    },
  ),
  mutant(
    'truncates without a conflict',
    'etcd-io/raft, log.go, maybeAppend',
    ['committed-is-durable', 'state-machine-safety', 'durable-before-answer', 'assertion'],
    (raft) => {
      const follower = raft['follower']
      const { log } = raft['core']
      follower.appendEntries = (previous, entries) => {
        if (entries.length === 0) return
        if (previous.index < log.last.index) follower.truncateAfter(previous)
        for (const entry of entries) log.append(entry)
      }
    },
  ),
  mutant('counts itself before its own write', 'etcd-io/etcd#14370', ['committed-is-durable'], (raft) => {
    const replication = raft['replication']
    const matchOf = replication.matchOf.bind(replication)
    replication.matchOf = (id) => (id === raft['core'].id ? raft['core'].log.last.index : matchOf(id))
  }),
  mutant('reads without asking a quorum', 'thesis §6.4', ['linearizable-read'], (raft) => {
    raft['reads'].isConfirmed = () => true
  }),
  mutant(
    'reads before a commit of its own term',
    'etcd-io/etcd#7331',
    ['linearizable-read', 'one-change-at-a-time'],
    (raft) => {
      const core = raft['core']
      core.ownTermCommitted = () => core.role === 'leader'
    },
  ),
  mutant(
    'sends its commit index beyond what a follower has',
    'etcd-io/raft, sendHeartbeat',
    ['assertion', 'state-machine-safety'],
    (raft) => {
      const core = raft['core']
      const send = core.send.bind(core)
      core.send = (message) =>
        send(message.type === 'heartbeat' ? { ...message, commit: core.commit } : message)
    },
  ),
  mutant('does not write its vote down', 'hashicorp/raft#661', ['durable-before-answer'], (raft) => {
    const core = raft['core']
    const hardState = core.hardState.bind(core)
    core.hardState = () => ({ ...hardState(), votedFor: undefined })
  }),
  mutant(
    'takes a write for done whose entries were truncated since',
    'etcd-io/raft, append ABA race',
    ['durable-before-answer', 'committed-is-durable', 'assertion'],
    (raft) => {
      const { durability } = raft['core']
      durability.truncated = () => {}
    },
  ),
  mutant('never hears that an append got lost', 'etcd-io/etcd#14633', ['progress'], (raft) => {
    const replication = raft['replication']
    const handle = replication.handleHeartbeatReply.bind(replication)
    replication.handleHeartbeatReply = (reply) => {
      handle(reply)
      const progress = raft['core'].follower(reply.from)
      if (progress !== undefined) progress.poked = false
    }
  }),
  mutant('keeps silent to a sender of an earlier term', 'etcd-io/raft, checkQuorum', ['progress'], (raft) => {
    raft['follower'].answerEarlierTerm = () => {}
    raft['election'].handlePreVote = () => {}
  }),
  mutant(
    'begins a change while another one is in flight',
    'thesis §4.1',
    ['one-change-at-a-time', 'assertion'],
    (raft) => {
      raft['membership'].isInFlight = () => false
    },
  ),
  mutant(
    'begins a change before a commit of its own term',
    'Ongaro on raft-dev, July 2015',
    ['one-change-at-a-time'],
    (raft) => {
      raft['membership'].knowsWhatIsCommitted = () => raft['core'].role === 'leader'
    },
  ),
  mutant('counts itself though it was removed', '§6', ['committed-is-durable'], (raft) => {
    const core = raft['core']
    core.deciding = () => {
      const { configuration, role, id } = core
      if (role !== 'leader' || configuration.voters.includes(id)) return configuration
      return { ...configuration, voters: [...configuration.voters, id] }
    }
  }),
  mutant('decides by one half of a joint configuration', '§6', ['committed-is-durable'], (raft) => {
    const core = raft['core']
    core.deciding = () => ({ ...core.configuration, votersOutgoing: [] })
  }),
  mutant('counts learners', 'thesis §4.2.1', ['committed-is-durable', 'election-safety'], (raft) => {
    const core = raft['core']
    core.deciding = () => {
      const { configuration } = core
      return { ...configuration, voters: [...new Set([...configuration.voters, ...configuration.learners])] }
    }
  }),
  mutant('keeps a configuration whose entry is cut', 'thesis §4.1', ['assertion'], (raft) => {
    raft['core'].configurations.truncatedAfter = () => {}
  }),
  mutant(
    'never stands once its newest configuration leaves it out',
    'thesis §4.2.2',
    ['progress'],
    (raft) => {
      const core = raft['core']
      const mayCampaign = core.mayCampaign.bind(core)
      core.mayCampaign = () => isVoter(core.configuration, core.id) && mayCampaign()
    },
    { nodes: 2 },
  ),
  mutant(
    'speaks for the disk that it lost',
    'this design, SPEC.md "Lives"',
    ['leader-completeness', 'state-machine-safety', 'election-safety', 'assertion', 'acknowledged-lost'],
    (raft) => {
      const core = raft['core']
      const concerns = core.concernsThisLife.bind(core)
      core.concernsThisLife = (message) => concerns(message) || message.type !== 'voteReply'
    },
  ),
  mutant(
    'trusts its lease after a transfer began',
    'thesis §6.4.1',
    ['linearizable-read'],
    (raft) => {
      Object.defineProperty(raft['core'], 'leaseBroken', { get: () => false, set: () => {} })
    },
    { leases: true, plan: leasePlan },
  ),
  mutant(
    'breaks the promise on which a lease rests',
    'thesis §6.4.1, etcd-io/raft',
    ['linearizable-read'],
    (raft) => {
      raft['election'].keepsToLeader = () => false
      raft['election'].hearsFromLeader = () => raft['core'].role === 'leader'
    },
    { leases: true, plan: { ...leasePlan, weights: { ...leasePlan.weights, campaign: 8, transfer: 0 } } },
  ),
  mutant('chains entries to nothing', 'this design', ['assertion'], (raft) => {
    const core = raft['core']
    const append = core.append.bind(core)
    core.append = (kind, draft) => {
      core.log.last = { ...core.log.last, digest: asDigest(0n) }
      return append(kind, draft)
    }
  }),
]
