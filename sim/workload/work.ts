import type { WorkFault } from '../faults/kinds.ts'

export const workKinds = {
  send: 'a producer sends records of one key',
  'append-plain': 'a bare stub appends a batch without a producer identity, once',
  read: 'a reader takes everything up to a confirmed end',
  'read-replica': "a reader takes everything from one node's replicas",
  offsets: 'a client asks a leader for the confirmed end of a partition',
  describe: 'an operator looks at the cluster',
} as const satisfies Record<string, string>

/** Something that a client does, as data. `actor`, `key`, `amount` are taken modulo what is there. */
export interface Work {
  readonly kind: keyof typeof workKinds | WorkFault
  /** Since the load began. */
  readonly atMs: number
  readonly actor: number
  readonly key: number
  /** Records. */
  readonly count: number
  /** Of one value. */
  readonly bytes: number
  readonly amount: number
}

/** What happens to the members of a consumer group. `member` is taken modulo how many there are. */
export interface GroupWork {
  readonly kind: 'member-joins' | 'member-leaves' | 'member-crashes' | 'member-pauses' | 'member-doubles'
  /** Since the load began. */
  readonly atMs: number
  readonly member: number
  /** Until a crashed one is started again; how long one stands still. */
  readonly forMs: number
}
