import type { Env } from '../../src/env/index.ts'
import type { ClusterMember } from '../../src/broker/index.ts'
import { DurableLogs } from '../checkers/durable-logs.ts'
import { GroupLedger } from '../checkers/groups.ts'
import { Ledger } from '../checkers/ledger.ts'
import { ReplicaChecker } from '../checkers/replicas.ts'
import type { Law, Violation } from '../checkers/violation.ts'
import { RandomStream } from '../core/random.ts'
import { Timeline } from '../env/timeline.ts'
import { Fabric, type FabricEvents, type Frame } from '../env/network/index.ts'
import { noFaults, type FaultCounts, type FaultKind } from '../faults/kinds.ts'
import type { Plan } from '../plan.ts'
import { PORT, SimNode } from './node.ts'
import type { Observer } from './observer.ts'
import { OutsideReachedError } from './poison.ts'
import { runEvents } from './step-loop.ts'
import { Trace } from './trace.ts'

/** What tests put between the simulated world and a broker: a broken disk, a broken promise. */
export type Dress = (nodeId: string, env: Env) => Env

/** So many of the newest notes are kept for whoever has to understand a failure. */
const KEPT_NOTES = 400

const frameCodes = {
  call: 1,
  message: 2,
  end: 3,
  status: 4,
  cancel: 5,
  window: 6,
  goaway: 7,
  ping: 8,
  pong: 9,
  fin: 10,
} as const satisfies Record<Frame['type'], number>

/** All that a run consists of: virtual time, machines, the network, checkers, and what happened so far. */
export class World {
  readonly plan: Plan
  readonly timeline: Timeline
  readonly fabric: Fabric
  readonly nodes: readonly SimNode[]
  readonly members: readonly ClusterMember[]
  readonly trace = new Trace()
  readonly violations: Violation[] = []
  readonly ledger: Ledger
  readonly groups: GroupLedger
  readonly replicas: ReplicaChecker
  readonly durableLogs: DurableLogs
  readonly faultCounts: FaultCounts = noFaults()
  readonly counts = new Map<string, number>()
  /** Who last said that it leads a group. */
  readonly leaders = new Map<number, string>()
  /** Nodes that an operator has asked to be removed, whatever became of it. */
  readonly leaving = new Set<string>()
  readonly notes: string[] = []
  /** Watches, where somebody wants a picture of the run. */
  readonly observer: Observer | undefined
  readonly #dress: Dress | undefined

  constructor(plan: Plan, dress?: Dress, observe?: (world: World) => Observer) {
    this.plan = plan
    this.#dress = dress
    const { seed, shape } = plan
    this.timeline = new Timeline(new RandomStream(seed, 'schedule'))
    this.fabric = new Fabric(this.timeline, new RandomStream(seed, 'network'), shape, {
      onArrival: (from, to, frame) => this.#traceArrival(from, to, frame),
      ...this.#observedEvents(observe),
    })
    const report = (law: Law, detail: string): void => this.report(law, detail)
    this.ledger = new Ledger(report)
    this.groups = new GroupLedger(report)
    this.replicas = new ReplicaChecker(report)
    this.durableLogs = new DurableLogs(
      report,
      (nodeId, groupId) => this.node(nodeId).livesOfGroups().get(groupId) ?? 0,
    )
    const ids = Array.from({ length: plan.nodes }, (_, at) => `n${at + 1}`)
    this.members = ids.map((nodeId) => ({ nodeId, address: `${nodeId}:${PORT}` }))
    const spares = Array.from({ length: plan.spares ?? 0 }, (_, at) => `n${plan.nodes + at + 1}`)
    this.nodes = [...ids, ...spares].map((id) => new SimNode(this, id, ids.includes(id)))
    this.observer = observe?.(this)
  }

  #observedEvents(observe: unknown): Partial<FabricEvents> {
    if (observe === undefined) return {}
    return {
      onSent: (wire, from, to, frame) => this.observer?.sent(wire, from, to, frame),
      onDropped: (frame) => this.observer?.dropped(frame),
      onWireLost: (wire) => this.observer?.lost(wire),
      onBlocked: (from, to, untilUs) => this.observer?.blocked(from, to, untilUs),
      onHealed: () => this.observer?.healed(),
    }
  }

  dressed(nodeId: string, env: Env): Env {
    return this.#dress?.(nodeId, env) ?? env
  }

  node(id: string): SimNode {
    const node = this.nodes.find((each) => each.id === id)
    if (node === undefined) throw new RangeError(`no node ${id}`)
    return node
  }

  report(law: Law, detail: string): void {
    this.note(`VIOLATION ${law}`)
    this.violations.push({ law, timeMs: this.timeline.nowMs, detail })
  }

  /** A node says that it leads a group. */
  leads(groupId: number, term: number, nodeId: string): void {
    this.note(`${nodeId} leads group ${groupId} in term ${term}`)
    this.leaders.set(groupId, nodeId)
    this.replicas.leads(groupId, term, nodeId)
    this.durableLogs.elected(groupId, term, nodeId)
  }

  /** A fault did what it is for. */
  struck(kind: FaultKind): void {
    this.faultCounts[kind]++
  }

  count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  note(text: string): void {
    this.trace.text(text)
    this.observer?.noted(text)
    this.notes.push(`${this.timeline.nowMs.toFixed(3).padStart(10)}  ${text}`)
    if (this.notes.length > 2 * KEPT_NOTES) this.notes.splice(0, KEPT_NOTES)
  }

  /** Runs until `isDone`; stops at the first violation, for what comes after it is noise. True: it is done. */
  async run(forMs: number, isDone: () => boolean): Promise<boolean> {
    const untilUs = this.timeline.nowUs + forMs * 1000
    let done = false
    const { timeline, trace } = this
    const onRejection = (reason: unknown): void => this.#crashed(reason)
    process.on('unhandledRejection', onRejection)
    await runEvents(
      timeline,
      untilUs,
      () => {
        trace.number(timeline.nowUs)
        done = isDone()
        return done || this.violations.length > 0
      },
      (error) => this.#crashed(error),
    )
    process.off('unhandledRejection', onRejection)
    if (!done && this.violations.length === 0) timeline.nowUs = Math.max(timeline.nowUs, untilUs)
    return done
  }

  /** Something threw where nobody catches: a real process would be gone. */
  #crashed(error: unknown): void {
    const law = error instanceof OutsideReachedError ? 'outside-reached' : 'internal-error'
    this.report(law, error instanceof Error ? (error.stack ?? error.message) : String(error))
  }

  #traceArrival(from: string, to: string, frame: Frame): void {
    const { trace } = this
    this.observer?.arrived(frame)
    trace.number(frameCodes[frame.type])
    if (frame.type !== 'message') return
    trace.name(from)
    trace.name(to)
    trace.bytes(frame.bytes)
  }
}
