import { RandomStream } from './core/random.ts'
import {
  memberFaults,
  workFaults,
  worldFaults,
  type Fault,
  type FaultKind,
  type WorldFault,
} from './faults/kinds.ts'
import type { GroupWork, Work } from './workload/work.ts'

/** Everything about a run but the order of what happens at once, which the seed decides. Data, so that it can be shrunk. */
export interface Plan {
  readonly seed: number
  /** Those that found the cluster. */
  readonly nodes: number
  /** Further machines, from which nodes may join; absent in plans of older versions. */
  readonly spares?: number
  readonly partitions: number
  /** How long clients work and faults strike, in virtual milliseconds. */
  readonly durationMs: number
  readonly shape: Shape
  readonly producers: number
  readonly faults: readonly Fault[]
  readonly work: readonly Work[]
  /** Members of a consumer group; 0: there is none. */
  readonly members: number
  readonly groupWork: readonly GroupWork[]
}

/** Speeds and limits of a run. Limits are small, so that each is met within a few entries. */
export interface Shape {
  readonly latencyUs: readonly [number, number]
  readonly bytesPerMs: number
  readonly syncUs: readonly [number, number]
  readonly otherUs: readonly [number, number]
  readonly tickMs: number
  readonly electionTimeoutMs: number
  readonly heartbeatMs: number
  readonly stalledDiskMs: number
  readonly segmentThresholdBytes: number
  readonly segmentBytes: number
  readonly crowdedAboveGroups: number
  readonly sharedThresholdBytes: number
  readonly sharedSegmentBytes: number
  readonly sharedBytes: number
  readonly saveStateEntries: number
  /** Older entries come from the disk. */
  readonly windowBytes: number
  readonly metadataCompactEntries: number
  readonly appendTimeoutMs: number
  readonly maxInflightBytesPerPartition: number
  readonly deliveryTimeoutMs: number
  readonly maxBatchRecords: number
  readonly lingerMs: number
  readonly maxInFlightBatches: number
}

export interface PlanOptions {
  /** Default: 3, sometimes 1 or 5, by the seed. */
  readonly nodes?: number
  /** Default: 1 to 6, by the seed. */
  readonly partitions?: number
  /** Default 30,000. */
  readonly durationMs?: number
  /** Members of a consumer group. Default: 0 to 4, by the seed; none where `faults` says what may strike. */
  readonly members?: number
  /** Which kinds may strike. Default: all. */
  readonly faults?: readonly FaultKind[]
  /** Each of these kinds strikes in each run. Default: a run leaves some of them out. */
  readonly everyFault?: boolean
}

/** Draws a run from its seed. The same seed and options give the same plan. */
export function drawPlan(seed: number, options: PlanOptions = {}): Plan {
  const random = new RandomStream(seed, 'plan')
  const shape = {
    ...drawShape(random, new RandomStream(seed, 'stored state'), new RandomStream(seed, 'shared segments')),
    windowBytes: new RandomStream(seed, 'log window').pick([1, 2000, 20_000, 4 * 1024 * 1024]),
  }
  const nodes = options.nodes ?? random.pick([3, 3, 3, 3, 3, 3, 5, 5, 1])
  const partitions = options.partitions ?? random.pick([1, 2, 3, 4, 4, 6])
  const durationMs = options.durationMs ?? 30_000
  const producers = random.between(1, 4)
  // Swarm testing: each run leaves some kinds out, so that the others aren't always drowned by them.
  const allowed = options.faults ?? [...worldFaults, ...workFaults]
  const density = random.pick([300, 500, 800])
  const usual = allowed.filter((kind) => !isMemberFault(kind) && kind !== 'bit-rot')
  const chosen = usual.filter(() => random.chance(density) || options.everyFault === true)
  const faults = drawFaults(random, chosen.filter(isWorldFault), durationMs)
  const work = drawWork(random, chosen, durationMs)
  // Of a stream of their own, so that all else is as it was before they were there.
  const changesRandom = new RandomStream(seed, 'members')
  const isChanging = options.faults !== undefined || changesRandom.chance(500)
  const changes = isChanging
    ? allowed.filter(
        (kind) => isMemberFault(kind) && (changesRandom.chance(700) || options.everyFault === true),
      )
    : []
  return {
    seed,
    nodes,
    spares: changes.includes('join') ? changesRandom.pick([1, 1, 2]) : 0,
    partitions,
    durationMs,
    shape,
    producers,
    faults: inOrder([
      ...faults,
      ...drawFaults(changesRandom, changes.filter(isWorldFault), durationMs),
      ...drawRot(new RandomStream(seed, 'bit rot'), allowed, options, durationMs),
    ]),
    work: inOrder([
      // Where each kind has to strike, none may fall into a lull.
      ...(options.everyFault === true ? work : thinned(work, new RandomStream(seed, 'lulls'), durationMs)),
      ...drawStrikes(changesRandom, changes, durationMs),
    ]),
    ...drawGroup(seed, options.members ?? (options.faults === undefined ? undefined : 0), durationMs),
  }
}

export const isMemberFault = (kind: string): boolean => (memberFaults as readonly string[]).includes(kind)

const isWorldFault = (kind: FaultKind): kind is WorldFault =>
  (worldFaults as readonly string[]).includes(kind)

function drawShape(
  random: RandomStream,
  stateRandom: RandomStream,
  sharedRandom: RandomStream,
): Omit<Shape, 'windowBytes'> {
  const fastestUs = random.pick([50, 100, 300, 1000])
  const syncUs = random.pick([100, 400, 2000])
  const tickMs = random.pick([25, 50, 50])
  return {
    latencyUs: [fastestUs, fastestUs * random.pick([2, 5, 20])],
    bytesPerMs: random.pick([10_000, 100_000, 1_000_000]),
    syncUs: [syncUs, syncUs * random.pick([2, 10])],
    otherUs: [10, random.pick([100, 1000])],
    tickMs,
    electionTimeoutMs: tickMs * random.pick([8, 10, 20]),
    heartbeatMs: tickMs * 2,
    stalledDiskMs: random.pick([1000, 5000]),
    segmentThresholdBytes: random.pick([1, 200, 1000, 4096]),
    segmentBytes: random.pick([1024, 8192, 65_536]),
    crowdedAboveGroups: sharedRandom.pick([0, 1, 4]),
    sharedThresholdBytes: sharedRandom.pick([1, 100, 1000]),
    sharedSegmentBytes: sharedRandom.pick([1, 20_000, 200_000]),
    sharedBytes: sharedRandom.pick([1, 50_000, 1_000_000]),
    saveStateEntries: stateRandom.pick([1, 5, 50, 2000]),
    metadataCompactEntries: random.pick([2, 5, 1000]),
    appendTimeoutMs: random.pick([1000, 5000, 30_000]),
    maxInflightBytesPerPartition: random.pick([4096, 65_536, 64 * 1024 * 1024]),
    deliveryTimeoutMs: random.pick([2000, 8000, 15_000]),
    maxBatchRecords: random.pick([1, 3, 10, 1000]),
    lingerMs: random.pick([0, 5, 20]),
    maxInFlightBatches: random.pick([1, 2, 5, 5]),
  }
}

/** How long each kind lasts, from and to, and how often it may strike in a run of thirty seconds. */
const habits: Record<WorldFault, { readonly forMs: readonly [number, number]; readonly most: number }> = {
  partition: { forMs: [100, 6000], most: 4 },
  'one-way': { forMs: [100, 5000], most: 5 },
  'isolate-leader': { forMs: [200, 5000], most: 4 },
  clog: { forMs: [20, 2000], most: 8 },
  swizzle: { forMs: [200, 4000], most: 2 },
  'slow-link': { forMs: [500, 6000], most: 3 },
  'client-cut': { forMs: [100, 6000], most: 3 },
  reset: { forMs: [0, 0], most: 12 },
  'half-open': { forMs: [0, 0], most: 3 },
  'disk-stall': { forMs: [50, 4000], most: 4 },
  'disk-slow': { forMs: [500, 6000], most: 3 },
  'io-error': { forMs: [100, 2000], most: 2 },
  'disk-full': { forMs: [200, 3000], most: 2 },
  wipe: { forMs: [1, 3000], most: 2 },
  'read-flip': { forMs: [0, 0], most: 6 },
  'lost-record': { forMs: [10, 2000], most: 2 },
  'bit-rot': { forMs: [0, 0], most: 4 },
  'clock-step': { forMs: [0, 0], most: 4 },
  'clock-drift': { forMs: [1000, 20_000], most: 3 },
  pause: { forMs: [20, 3000], most: 5 },
  'pause-leader': { forMs: [100, 3000], most: 4 },
  crash: { forMs: [1, 3000], most: 5 },
  'crash-leader': { forMs: [1, 3000], most: 4 },
  'crash-writing': { forMs: [1, 1000], most: 6 },
  'crash-loop': { forMs: [10, 600], most: 1 },
  'power-loss': { forMs: [10, 4000], most: 4 },
  'power-loss-leader': { forMs: [10, 3000], most: 3 },
  'power-loss-all': { forMs: [10, 1500], most: 2 },
  restart: { forMs: [1, 1000], most: 3 },
}

function drawFaults(random: RandomStream, kinds: readonly WorldFault[], durationMs: number): Fault[] {
  const faults: Fault[] = []
  for (const kind of kinds) {
    const { forMs, most } = habits[kind]
    const scaled = Math.max(1, Math.round((most * durationMs) / 30_000))
    for (let left = random.between(1, scaled); left > 0; left--) {
      faults.push({
        kind,
        atMs: random.below(durationMs),
        forMs: random.between(...forMs),
        target: random.below(1000),
        other: random.below(1000),
        amount: random.below(1_000_000),
      })
    }
  }
  return inOrder(faults)
}

function drawRot(
  random: RandomStream,
  allowed: readonly FaultKind[],
  { faults, everyFault }: PlanOptions,
  durationMs: number,
): Fault[] {
  const isChosen = everyFault === true || random.chance(faults === undefined ? 200 : 700)
  return isChosen && allowed.includes('bit-rot') ? drawFaults(random, ['bit-rot'], durationMs) : []
}

function inOrder<T extends { readonly atMs: number }>(events: T[]): T[] {
  return events.sort((left, right) => left.atMs - right.atMs)
}

const usualWork: readonly (readonly [Work['kind'], number])[] = [
  ['append-plain', 60],
  ['read', 6],
  ['read-replica', 6],
  ['offsets', 20],
  ['describe', 30],
]

/** How often at most in a run of thirty seconds. */
const strikes: Readonly<Record<(typeof workFaults)[number], number>> = {
  transfer: 6,
  'topic-create': 3,
  'topic-delete': 3,
  move: 6,
  join: 3,
  leave: 3,
  'client-crash': 3,
  zombie: 2,
  duplicate: 25,
  cancel: 12,
  'slow-reader': 2,
}

function drawWork(random: RandomStream, chosen: readonly FaultKind[], durationMs: number): Work[] {
  const work: Work[] = []
  const everyMs = random.pick([20, 60, 150, 3000])
  for (let atMs = 0; atMs < durationMs; atMs += 1 + random.below(2 * everyMs))
    work.push(drawOne(random, 'send', atMs))
  for (const [kind, most] of usualWork) work.push(...drawSome(random, kind, most, durationMs))
  return inOrder([...work, ...drawStrikes(random, chosen, durationMs)])
}

function drawStrikes(random: RandomStream, chosen: readonly FaultKind[], durationMs: number): Work[] {
  return workFaults
    .filter((kind) => chosen.includes(kind))
    .flatMap((kind) => drawSome(random, kind, strikes[kind], durationMs))
}

/** Work that operators do, or that does nothing to the groups: it goes on in a lull. */
const goesOn: ReadonlySet<Work['kind']> = new Set([
  'describe',
  'transfer',
  'topic-create',
  'topic-delete',
  'client-crash',
])

/** In some runs there is little to do, or nothing for a while, so that groups go quiet and faults find them so. */
function thinned(work: readonly Work[], random: RandomStream, durationMs: number): readonly Work[] {
  const share = random.pick([1000, 1000, 1000, 100, 30])
  const lulls: (readonly [fromMs: number, toMs: number])[] = []
  if (random.chance(400)) {
    for (let left = random.between(1, 2); left > 0; left--) {
      const fromMs = random.below(durationMs)
      lulls.push([fromMs, fromMs + random.between(1500, 6000)])
    }
  }
  if (random.chance(300)) lulls.push([durationMs - random.between(1500, 6000), durationMs])
  return work.filter(
    ({ kind, atMs }) =>
      goesOn.has(kind) ||
      (random.chance(share) && !lulls.some(([fromMs, toMs]) => fromMs <= atMs && atMs < toMs)),
  )
}

function drawSome(random: RandomStream, kind: Work['kind'], most: number, durationMs: number): Work[] {
  const scaled = Math.max(1, Math.round((most * durationMs) / 30_000))
  const times = random.between(1, scaled)
  return Array.from({ length: times }, () => drawOne(random, kind, random.below(durationMs)))
}

function drawOne(random: RandomStream, kind: Work['kind'], atMs: number): Work {
  return {
    kind,
    atMs,
    actor: random.below(1000),
    key: random.below(8),
    count: random.pick([1, 1, 1, 2, 5, 20]),
    bytes: random.pick([0, 10, 10, 100, 100, 1000, 5000]),
    amount: random.below(1_000_000),
  }
}

/** From a stream of its own, so that what else a seed draws doesn't depend on it. */
function drawGroup(
  seed: number,
  wanted: number | undefined,
  durationMs: number,
): Pick<Plan, 'members' | 'groupWork'> {
  const random = new RandomStream(seed, 'group plan')
  const members = wanted ?? new RandomStream(seed, 'group size').pick([0, 1, 2, 3, 4])
  const groupWork: GroupWork[] = []
  const most: Readonly<Record<GroupWork['kind'], number>> = {
    'member-joins': 4,
    'member-leaves': 4,
    'member-crashes': 5,
    'member-pauses': 4,
    'member-doubles': 2,
  }
  for (const kind of Object.keys(most) as GroupWork['kind'][]) {
    const scaled = members === 0 ? 0 : Math.max(1, Math.round((most[kind] * durationMs) / 30_000))
    for (let left = random.below(scaled + 1); left > 0; left--) {
      const [atMs, member] = [random.below(durationMs), random.below(1000)]
      groupWork.push({ kind, atMs, member, forMs: random.pick([50, 500, 2500, 5000]) })
    }
  }
  return { members, groupWork: groupWork.sort((left, right) => left.atMs - right.atMs) }
}
