import { snapshotPlan } from '../core/faults.ts'
import { core, twoHistories } from './core-elections.ts'
import type { CoreMutant } from './mutant.ts'

const replication = 'src/raft/replication.ts'
const follower = 'src/raft/follower.ts'
const state = 'src/raft/core.ts'
const membership = 'src/raft/membership.ts'

const truncatesAlways = {
  file: follower,
  find: '      if (log.termAt(entry.index) !== entry.term) break\n',
  put: '      if (log.termAt(entry.index) !== -1) break\n',
}

/** Faults of replication, of who takes part, and of snapshots. */
export const replicationMutants: readonly CoreMutant[] = [
  core(
    'commit-of-earlier-term',
    'commits an entry of an earlier term by counting who has it',
    '§5.4.2, figure 8; logcabin/logcabin#44',
    ['commit-own-term'],
    [
      {
        file: replication,
        find: 'return this.#core.log.termAt(index) === this.#core.term',
        put: 'return this.#core.log.termAt(index) !== undefined',
      },
    ],
  ),
  core(
    'answer-before-write',
    'acknowledges entries before they are written',
    'Jepsen, NATS 2.12.1',
    ['durable-before-answer'],
    [
      {
        file: follower,
        find: "this.#core.sendDurably({\n      type: 'appendReply',",
        put: "this.#core.send({\n      type: 'appendReply',",
      },
    ],
  ),
  core(
    'counts-unwritten-self',
    'counts itself before its own write is done',
    'etcd-io/etcd#14370',
    ['committed-is-durable'],
    [
      {
        file: replication,
        find: 'if (id === core.id) return core.durability.persisted',
        put: 'if (id === core.id) return core.log.last.index',
      },
    ],
  ),
  core(
    'truncate-without-conflict',
    'cuts its log at every append, conflict or not',
    'etcd-io/raft, maybeAppend',
    twoHistories,
    [truncatesAlways],
  ),
  core(
    'truncate-committed',
    'cuts committed entries off and says nothing',
    'etcd-io/raft, log.go',
    twoHistories,
    [
      truncatesAlways,
      {
        file: follower,
        find: 'if (previous.index < core.commit) {',
        put: 'if (previous.index < core.log.lowEnd.index) {',
      },
      {
        file: follower,
        find: "    assert(before.index >= commit, 'raft.truncate-committed', () => `after ${before.index}, commit ${commit}`)\n",
        put: '',
      },
    ],
  ),
  core(
    'truncate-to-commit',
    'cuts its log to what it knows to be committed when it meets a new leader',
    'Kafka KIP-101',
    twoHistories,
    [
      {
        file: follower,
        find: '    core.becomeFollower(core.term, from)\n',
        put:
          '    core.becomeFollower(core.term, from)\n    const mark = core.log.markAt(core.commit)\n' +
          '    if (mark !== undefined && mark.index < core.log.last.index) this.truncateAfter(mark)\n',
      },
    ],
  ),
  core(
    'commit-beyond-match',
    'sends its commit index beyond what a follower has',
    'etcd-io/raft, sendHeartbeat',
    twoHistories,
    [{ file: replication, find: 'asLogIndex(Math.min(progress.match, commit))', put: 'commit' }],
  ),
  core(
    'write-done-though-truncated',
    'takes a write for done whose entries were cut off since',
    'etcd-io/raft, append ABA race',
    twoHistories,
    [
      {
        file: 'src/raft/durability.ts',
        find: '    for (const write of this.#writes) write.agreesTo = Math.min(write.agreesTo, kept)\n',
        put: '',
      },
    ],
  ),
  core(
    'lost-append-unnoticed',
    'never finds out that an append got lost',
    'etcd-io/etcd#14633',
    ['progress'],
    [
      {
        file: replication,
        find: '    if (progress.match < core.log.last.index) progress.poked = true\n',
        put: '',
      },
    ],
  ),
  core(
    'stuck-in-probe',
    'waits for ever after the first probe',
    'etcd-io/etcd#10308',
    ['progress'],
    [
      {
        file: replication,
        find: '        if (index >= progress.match) progress.becomeReplicate()\n',
        put: '',
      },
      { file: replication, find: '    progress.paused = false\n', put: '' },
    ],
  ),
  core(
    'stuck-in-snapshot',
    'sends nothing more to a follower that took a snapshot',
    'etcd-io/etcd#10308',
    ['progress'],
    [
      {
        file: replication,
        find: 'if (progress.match >= log.lowEnd.index) progress.becomeReplicate()',
        put: 'if (progress.match >= log.lowEnd.index) break',
      },
      {
        file: 'src/raft/catch-up.ts',
        find: 'if (progress.snapshotTicks >= SNAPSHOT_PATIENCE_ELECTIONS * electionTicks) {',
        put: 'if (progress.snapshotTicks < 0) {',
      },
    ],
  ),
  core(
    'entries-chained-to-nothing',
    'chains its entries to nothing',
    'this design',
    ['assertion'],
    [
      {
        file: state,
        find: 'const digest = chain(last.digest, {',
        put: 'const digest = chain(0n as typeof last.digest, {',
      },
    ],
  ),
  core(
    'two-changes-at-once',
    'begins a change of members while another one is under way',
    'thesis §4.1',
    ['one-change-at-a-time', 'assertion'],
    [{ file: membership, find: 'return !this.#core.configurationCommitted()', put: 'return false' }],
  ),
  core(
    'change-before-own-term',
    'begins a change of members before an entry of its own term is committed',
    'Ongaro on raft-dev, July 2015',
    ['one-change-at-a-time'],
    [
      {
        file: membership,
        find: 'return this.#core.ownTermCommitted()',
        put: "return this.#core.role === 'leader'",
      },
    ],
  ),
  core(
    'removed-leader-counts-itself',
    'counts itself though it was removed',
    '§6; etcd-io/raft, confchange_v1_remove_leader',
    ['committed-is-durable'],
    [
      {
        file: state,
        find: '  deciding(): Configuration {\n    return this.configuration\n',
        put:
          '  deciding(): Configuration {\n    const { configuration, role, id } = this\n' +
          "    if (role === 'leader' && !configuration.voters.includes(id)) return { ...configuration, voters: [...configuration.voters, id] }\n" +
          '    return configuration\n',
      },
    ],
  ),
  core(
    'one-half-decides',
    'decides by one half of a joint configuration',
    '§6',
    ['committed-is-durable', 'election-safety', 'one-change-at-a-time'],
    [
      {
        file: state,
        find: '  deciding(): Configuration {\n    return this.configuration\n',
        put: '  deciding(): Configuration {\n    return { ...this.configuration, votersOutgoing: [] }\n',
      },
    ],
  ),
  core(
    'learners-count',
    'counts learners as voters',
    'thesis §4.2.1',
    ['committed-is-durable', 'election-safety'],
    [
      {
        file: state,
        find: '  deciding(): Configuration {\n    return this.configuration\n',
        put:
          '  deciding(): Configuration {\n    const { configuration } = this\n' +
          '    return { ...configuration, voters: [...new Set([...configuration.voters, ...configuration.learners])] }\n',
      },
    ],
  ),
  core(
    'promoted-learner-refuses',
    'gives no vote while it does not know that it was promoted',
    'etcd-io/etcd#10998',
    ['progress'],
    [
      {
        file: 'src/raft/election.ts',
        find: 'const granted = this.mayVoteFor(request) && this.isUpToDate(request)',
        put: 'const granted = this.mayVoteFor(request) && this.isUpToDate(request) && isVoter(core.configuration, core.id)',
      },
    ],
  ),
  core(
    'cut-configuration-kept',
    'keeps a configuration whose entry is cut off',
    'thesis §4.1',
    ['assertion'],
    [{ file: follower, find: '    configurations.truncatedAfter(before.index)\n', put: '' }],
  ),
  core(
    'left-out-never-stands',
    'never stands once its newest configuration leaves it out',
    'thesis §4.2.2',
    ['progress'],
    [
      {
        file: state,
        find: 'return !this.configurationCommitted() && previous !== undefined && isVoter(previous, this.id)',
        put: 'return previous === null',
      },
    ],
    { nodes: 2 },
  ),
  core(
    'speaks-for-lost-disk',
    'votes and acknowledges under the name of a disk that was lost since',
    'this design, SPEC.md "Lives"',
    twoHistories,
    [
      {
        file: state,
        find: '    const { configuration, config } = this\n    const { from, life = 0 } = message\n',
        put:
          '    const { configuration, config } = this\n    const { from, life = 0 } = message\n' +
          '    if (message.to === this.id) return true\n',
      },
    ],
  ),
  core(
    'snapshot-drops-suffix',
    'drops entries that follow a snapshot which its log already has',
    '§7; etcd-io/raft, restore',
    twoHistories,
    [
      {
        file: follower,
        find: 'if (log.termAt(snapshot.index) === snapshot.term) {',
        put: 'if (log.termAt(snapshot.index) === -1) {',
      },
    ],
    { plan: snapshotPlan },
  ),
  core(
    'snapshot-moves-commit-back',
    'goes back to a snapshot that is older than what it has committed',
    'etcd-io/raft, restore',
    twoHistories,
    [
      { file: follower, find: 'if (snapshot.index <= core.commit) {', put: 'if (snapshot.index < 0) {' },
      {
        file: follower,
        find: 'if (log.termAt(snapshot.index) === snapshot.term) {',
        put: 'if (log.termAt(snapshot.index) === -1) {',
      },
    ],
  ),
  core(
    'snapshot-without-configuration',
    'takes a snapshot over without the configuration in it',
    'etcd-io/raft, restore',
    ['progress', ...twoHistories],
    [{ file: follower, find: '      core.configurations.replacedBy(mark)\n', put: '' }],
  ),
  core(
    'snapshot-chunks-mixed',
    'puts a snapshot together from chunks of different ones',
    'this design',
    ['state-machine-safety'],
    [
      {
        file: 'src/raft/snapshot-parts.ts',
        find:
          '      first.from === message.from &&\n      first.term === message.term &&\n' +
          '      old.index === next.index &&\n      old.term === next.term &&\n      old.digest === next.digest &&\n',
        put: '',
      },
    ],
  ),
]
