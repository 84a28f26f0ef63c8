import { describe, expect, it } from 'vitest'
import { roleOf } from '../../../src/broker/services/replica-status.ts'
import { emptyBootstrap, joiningBootstrap } from '../../../src/raft/index.ts'
import { asNodeId, type Configuration } from '../../../src/raft/types.ts'

const n1 = asNodeId('n1')
const n2 = asNodeId('n2')
const n3 = asNodeId('n3')
const configuration: Configuration = { voters: [n1, n2], votersOutgoing: [], learners: [n3] }
const following = (id: typeof n1, own: Configuration): string =>
  roleOf({ role: 'follower', configuration: own, id })

describe('the role of a replica that follows, as describe tells it', () => {
  it('is a learner’s while it has no vote, also before it has heard that it is one', () => {
    expect(following(n3, configuration)).toBe('REPLICA_ROLE_LEARNER')
    // Its data were put aside and it begins from nothing.
    expect(following(n1, joiningBootstrap().configuration)).toBe('REPLICA_ROLE_LEARNER')
  })

  it('is a follower’s while it has one, by the old members of a change as well', () => {
    expect(following(n1, emptyBootstrap(configuration).configuration)).toBe('REPLICA_ROLE_FOLLOWER')
    expect(following(n3, { voters: [n1], votersOutgoing: [n3], learners: [] })).toBe('REPLICA_ROLE_FOLLOWER')
  })
})
