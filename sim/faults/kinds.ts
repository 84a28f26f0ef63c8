/** Every kind of fault, with a line for --help. A run counts how often each struck. */
export const faultKinds = {
  // network
  partition: 'some nodes and clients cannot reach the others, both ways',
  'one-way': 'what one node sends to another does not arrive',
  'isolate-leader': 'the leader of a partition reaches nobody',
  clog: 'a way between two machines holds everything back, then lets it through',
  swizzle: 'several ways clog one after the other and open in another order',
  'slow-link': 'a way has a long delay and little bandwidth',
  'client-cut': 'a client reaches no node, or hears from none',
  reset: 'a connection breaks in the middle, perhaps with an answer on it',
  'half-open': 'a connection carries nothing any more and nobody is told',
  // disk
  'disk-stall': 'nothing that is written comes to an end for a while',
  'disk-slow': 'every disk operation takes many times as long',
  'io-error': 'a write fails with EIO; the node has to stop',
  'disk-full': 'writes fail with ENOSPC for a while; the node has to stop',
  wipe: 'a node loses its disk and comes back with an empty one; in a run it is always the same node',
  'read-flip': 'a bit of what a node reads from its disk is flipped, a few times; always the same node',
  'lost-record': "LevelDB's log loses a record before a start; the same node",
  'bit-rot': 'a bit of a segment flips and stays so; the same node',
  // time
  'clock-step': 'the wall clock of a node jumps',
  'clock-drift': 'the clocks of a node run too fast or too slow',
  pause: 'a node stands still and then goes on as if nothing had been',
  'pause-leader': 'the leader of a partition stands still',
  // process
  crash: 'a node is killed (SIGKILL) and started again',
  'crash-leader': 'the leader of a partition is killed',
  'crash-writing': 'a node is killed while its disk writes',
  'crash-loop': 'a node is killed again soon after each start',
  'power-loss': 'a machine loses its power, and what was not synced',
  'power-loss-leader': 'so does that of the leader of a partition',
  'power-loss-all': 'all machines lose their power at once',
  restart: 'a node is stopped as an operator does it, and started again',
  // cluster
  transfer: 'an operator moves the leadership of a partition',
  'topic-create': 'an operator creates a topic',
  'topic-delete': 'an operator deletes a topic that is in use',
  move: 'an operator moves the replicas of a partition, or calls a move off',
  join: 'a node joins the cluster: a new one, or one that had left',
  leave: 'an operator drains a node and removes it',
  // clients
  'client-crash': 'a client is killed with records under way',
  zombie: 'a producer is replaced by one with a higher epoch and goes on all the same',
  duplicate: 'the same batch is sent to two nodes at once, or again long after',
  cancel: 'a client aborts a record or a stream that is under way',
  'slow-reader': 'a reader takes its batches slowly',
} as const satisfies Record<string, string>

export type FaultKind = keyof typeof faultKinds
export const faultNames = Object.keys(faultKinds) as FaultKind[]

/** Those that clients and operators bring about: they are part of the workload. */
export const workFaults = [
  'transfer',
  'topic-create',
  'topic-delete',
  'move',
  'join',
  'leave',
  'client-crash',
  'zombie',
  'duplicate',
  'cancel',
  'slow-reader',
] as const satisfies readonly FaultKind[]
export type WorkFault = (typeof workFaults)[number]
export type WorldFault = Exclude<FaultKind, WorkFault>
export const worldFaults = faultNames.filter(
  (kind): kind is WorldFault => !(workFaults as readonly string[]).includes(kind),
)

/** Those that change who takes part: half of the runs have none of them. */
export const memberFaults = ['wipe', 'move', 'join', 'leave'] as const satisfies readonly FaultKind[]

export type FaultCounts = Record<FaultKind, number>
export const noFaults = (): FaultCounts =>
  Object.fromEntries(faultNames.map((kind) => [kind, 0])) as FaultCounts

/** A fault as data. What `target`, `other` and `amount` mean depends on the kind; all are taken modulo what is there. */
export interface Fault {
  readonly kind: WorldFault
  /** Since the load began. */
  readonly atMs: number
  readonly forMs: number
  readonly target: number
  readonly other: number
  readonly amount: number
}
