/** What a run must keep, with a line for --help. */
export const laws = {
  'acknowledged-lost': 'what was acknowledged is on every replica, at its offset, for ever',
  'offset-reassigned': 'an offset holds one record, whoever reads it and whenever',
  duplicate: 'no record is there twice',
  'producer-forgotten':
    'a batch that was acknowledged and is sent again is answered with its offset, whoever leads by then',
  phantom: 'nothing is there that nobody sent, or with other bytes',
  'failed-but-there': 'what failed without effect is not there',
  'key-order': 'the records of a producer for a key are there in the order in which they were sent',
  'zombie-wrote':
    'once the next epoch of a producer has written to a partition, its earlier ones write there no more',
  'reader-gap': 'a reader sees every offset once, in order',
  'stale-read': 'a linearizable read sees all that was acknowledged, or read by anybody, before it began',
  divergence: 'replicas that have folded the same index have the same digest, and store the same state',
  'watermark-back': 'the high watermark of a running replica never goes back',
  'two-leaders': 'a term has one leader',
  'vote-twice': 'a replica gives one vote in a term, whatever happens to its process',
  'leader-without-votes': 'whoever leads has the votes of a majority on stable storage',
  'log-matching': 'an index and a term name one entry, on all disks',
  'committed-changed': 'a committed entry never changes',
  'acknowledged-not-durable': 'when an append is acknowledged, a majority has it on stable storage',
  'node-gave-up': 'a node stops by itself only when its disk failed',
  'internal-error':
    'nothing fails in a way that its code did not foresee, and a node that has closed writes no more',
  'outside-reached': 'nothing uses a clock, a timer or randomness but those of its Env',
  'group-two-owners':
    'an epoch of a partition has one owner in a consumer group, and nobody else is sent its records',
  'group-old-commit': 'a commit under an old epoch never takes effect',
  'group-commit-lost': 'what a group has committed is never lost, never goes back and never passes the end',
  'group-repeated': 'a group is sent again only what was not committed when the partition changed hands',
  'group-unhandled': 'every record is handled by some member before it is committed',
  progress: 'once a majority is healed, everything goes on within a bounded time',
  invariant: 'what a workload of a user demands (flotilla/sim)',
} as const satisfies Record<string, string>

export type Law = keyof typeof laws

export interface Violation {
  readonly law: Law
  readonly timeMs: number
  readonly detail: string
}

export type Report = (law: Law, detail: string) => void
