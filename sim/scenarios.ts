import type { PlanOptions } from './plan.ts'

export interface Scenario {
  /** For --help. */
  readonly line: string
  readonly plan: PlanOptions
}

/** Runs with a story: certain faults, all of them, and nothing else. */
export const scenarios = {
  'nats-lazy-fsync': {
    line: 'machines lose their power, one, then all: Jepsen saw NATS 2.12.1 lose what it had acknowledged before a sync',
    plan: {
      nodes: 3,
      faults: ['power-loss', 'power-loss-leader', 'power-loss-all', 'crash-writing'],
      everyFault: true,
    },
  },
  'nats-flipped-bit': {
    line: 'bits flip in what one node reads, or stores for good: Jepsen saw such damage on a minority cost NATS 2.12.1 acknowledged writes',
    plan: {
      nodes: 3,
      faults: ['read-flip', 'bit-rot', 'crash', 'crash-leader', 'restart'],
      everyFault: true,
    },
  },
  'nats-damaged-snapshot': {
    line: "a record with a node's stored state is lost before a start: Jepsen saw NATS 2.12.1 delete data over it",
    plan: { nodes: 3, faults: ['lost-record', 'crash', 'power-loss', 'restart'], everyFault: true },
  },
  'nats-crash-and-pauses': {
    line: 'one machine loses its power while processes stand still: Jepsen saw NATS 2.12.1 end with two histories',
    plan: {
      nodes: 5,
      faults: ['power-loss', 'power-loss-leader', 'pause', 'pause-leader', 'isolate-leader'],
      everyFault: true,
    },
  },
  'bad-network': {
    line: 'every fault of the network at once, and nothing else',
    plan: {
      faults: [
        'partition',
        'one-way',
        'isolate-leader',
        'clog',
        'swizzle',
        'slow-link',
        'client-cut',
        'reset',
        'half-open',
      ],
      everyFault: true,
    },
  },
  'bad-disks': {
    line: 'disks stall, slow down, fail and fill up, and processes are killed while they write',
    plan: {
      nodes: 3,
      faults: ['disk-stall', 'disk-slow', 'io-error', 'disk-full', 'crash-writing'],
      everyFault: true,
    },
  },
  'bad-clocks': {
    line: 'clocks jump and drift and processes stand still: nothing may depend on the time of others',
    plan: { faults: ['clock-step', 'clock-drift', 'pause', 'pause-leader'], everyFault: true },
  },
  'rolling-restart': {
    line: 'nodes are stopped and started again as for an upgrade, and leaders are moved',
    plan: { nodes: 3, faults: ['restart', 'transfer'], everyFault: true },
  },
  'unruly-clients': {
    line: 'clients crash, send twice, haunt, cancel and dawdle, at brokers in good health',
    plan: {
      faults: [
        'client-crash',
        'zombie',
        'duplicate',
        'cancel',
        'slow-reader',
        'topic-create',
        'topic-delete',
      ],
      everyFault: true,
    },
  },
} as const satisfies Record<string, Scenario>

export type ScenarioName = keyof typeof scenarios
export const scenarioNames = Object.keys(scenarios) as ScenarioName[]
