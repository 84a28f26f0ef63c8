import type { RandomStream } from './random.ts'

/** How often each fault strikes in a run. A plan is data, drawn from the seed: each run has its own mix. */
export interface FaultPlan {
  readonly network: {
    readonly fastestMs: number
    readonly slowestMs: number
    readonly lossPerMille: number
    readonly duplicatePerMille: number
    /** Some messages take up to delayMs longer, so that later ones overtake them. */
    readonly delayPerMille: number
    readonly delayMs: number
  }
  readonly disk: { readonly fastestMs: number; readonly slowestMs: number }
  /** The time between two strokes of the nemesis. */
  readonly strokeEveryMs: number
  /** Weights of its strokes. */
  readonly weights: Readonly<Record<Stroke, number>>
}

export type Stroke =
  | 'crash'
  | 'crash-leader'
  | 'crash-all'
  | 'partition'
  | 'isolate-leader'
  | 'one-way'
  | 'heal'
  | 'stall-disk'
  | 'fail-disk'
  | 'pause'
  | 'freeze-leader'
  | 'compact'
  | 'transfer'
  | 'campaign'
  | 'change'
  | 'wipe'
  | 'nothing'

const STROKES: readonly Stroke[] = [
  'crash',
  'crash-leader',
  'crash-all',
  'partition',
  'isolate-leader',
  'one-way',
  'heal',
  'stall-disk',
  'fail-disk',
  'pause',
  'freeze-leader',
  'compact',
  'transfer',
  'campaign',
  'change',
  'wipe',
  'nothing',
]

/** How often each fault did strike: a run that claims to have survived something must have met it. */
export interface FaultCounts {
  messageLost: number
  messageDuplicated: number
  messageDelayed: number
  messageCutOff: number
  undelivered: number
  crash: number
  writeLost: number
  writeKeptUnconfirmed: number
  restart: number
  partition: number
  oneWayCut: number
  diskStalled: number
  diskFailed: number
  nodePaused: number
  compaction: number
  snapshotSent: number
  snapshotLost: number
  snapshotInstalled: number
  fetch: number
  fetchEmpty: number
  transfer: number
  leaderChange: number
  readServed: number
  readDropped: number
  proposalRefused: number
  leaseRead: number
  snapshotChunk: number
  configurationChanged: number
  configurationRefused: number
  jointPhase: number
  removedLeader: number
  diskWiped: number
  lifeRenewed: number
}

export const noFaults = (): FaultCounts => ({
  messageLost: 0,
  messageDuplicated: 0,
  messageDelayed: 0,
  messageCutOff: 0,
  undelivered: 0,
  crash: 0,
  writeLost: 0,
  writeKeptUnconfirmed: 0,
  restart: 0,
  partition: 0,
  oneWayCut: 0,
  diskStalled: 0,
  diskFailed: 0,
  nodePaused: 0,
  compaction: 0,
  snapshotSent: 0,
  snapshotLost: 0,
  snapshotInstalled: 0,
  fetch: 0,
  fetchEmpty: 0,
  transfer: 0,
  leaderChange: 0,
  readServed: 0,
  readDropped: 0,
  proposalRefused: 0,
  leaseRead: 0,
  snapshotChunk: 0,
  configurationChanged: 0,
  configurationRefused: 0,
  jointPhase: 0,
  removedLeader: 0,
  diskWiped: 0,
  lifeRenewed: 0,
})

/** Swarm testing: each run leaves some faults out, so that the others aren't always drowned by them. */
export function drawFaultPlan(random: RandomStream): FaultPlan {
  const maybe = (most: number): number => (random.chance(500) ? random.below(most + 1) : 0)
  const weights = Object.fromEntries(STROKES.map((stroke) => [stroke, maybe(6)])) as Record<Stroke, number>
  weights.heal = random.between(1, 4)
  weights.nothing = 1
  weights.change = maybe(15)
  weights.compact = maybe(20)
  return {
    network: {
      fastestMs: 1,
      slowestMs: random.between(1, 8),
      lossPerMille: maybe(150),
      duplicatePerMille: maybe(100),
      delayPerMille: maybe(150),
      delayMs: random.between(10, 200),
    },
    disk: { fastestMs: random.below(2), slowestMs: random.between(2, 25) },
    strokeEveryMs: random.between(20, 150),
    weights,
  }
}

/** Nothing goes wrong any more. */
export const healthyPlan: FaultPlan = {
  network: {
    fastestMs: 1,
    slowestMs: 2,
    lossPerMille: 0,
    duplicatePerMille: 0,
    delayPerMille: 0,
    delayMs: 0,
  },
  disk: { fastestMs: 0, slowestMs: 2 },
  strokeEveryMs: 1_000_000_000,
  weights: Object.fromEntries(STROKES.map((stroke) => [stroke, 0])) as Record<Stroke, number>,
}

/** Nothing but what leases fear: leaders that are cut off or move, while everything else is quick. */
export const leasePlan: FaultPlan = {
  ...healthyPlan,
  strokeEveryMs: 60,
  weights: { ...healthyPlan.weights, 'isolate-leader': 4, heal: 4, transfer: 3, campaign: 2 },
}

/** Logs are cut all the time, and those who were away for a while need snapshots. */
export const snapshotPlan: FaultPlan = {
  ...healthyPlan,
  network: { ...healthyPlan.network, lossPerMille: 100, delayPerMille: 100, delayMs: 100 },
  strokeEveryMs: 15,
  weights: {
    ...healthyPlan.weights,
    compact: 20,
    'one-way': 4,
    partition: 2,
    'isolate-leader': 2,
    'crash-leader': 1,
    transfer: 2,
    heal: 4,
  },
}

export function drawStroke(random: RandomStream, plan: FaultPlan): Stroke {
  const total = STROKES.reduce((sum, stroke) => sum + plan.weights[stroke], 0)
  let left = random.below(Math.max(1, total))
  for (const stroke of STROKES) {
    left -= plan.weights[stroke]
    if (left < 0) return stroke
  }
  return 'nothing'
}
