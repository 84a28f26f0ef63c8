import type { CorrelatedResult, TopicMessage } from '../../src/wire/messages.ts'
import { laws } from '../checkers/violation.ts'
import type { Ending, Observer } from '../cluster/observer.ts'
import type { World } from '../cluster/world.ts'
import type { StoredOperation } from '../env/disk/store.ts'
import type { Frame } from '../env/network/index.ts'
import { DiskRows } from './disk-rows.ts'
import { answered, appendsIn, asked, resultsIn, resultText, saidByPeer } from './frames.ts'
import {
  callOutcomes,
  DROPPED,
  messageKinds,
  UNDER_WAY,
  type BlockRow,
  type CallOutcome,
  type CallRow,
  type FaultRow,
  type LifeRow,
  type MessageKind,
  type MessageRow,
  type NoteRow,
  type PauseRow,
  type Picture,
  MOST_ROWS,
  type RoleRow,
} from './picture.ts'
import { storyOf } from './story.ts'

/** More messages than this are thinned out: the picture has to stay usable. */
const MOST_MESSAGES = 40_000
const SUBSCRIBE = '/flotilla.peer.v1.PeerService/Subscribe'
const APPEND_STREAM = '/flotilla.v1.LogService/AppendStream'

type Mutable<Row extends readonly unknown[]> = { -readonly [At in keyof Row]: Row[At] }

/** A call under way on a connection. */
interface OpenCall {
  readonly path: string
  readonly wire: number
  readonly isClient: boolean
  /** One answer ends it. */
  readonly isUnary: boolean
  readonly host: number
  readonly sinceUs: number
  /** The bar of the call itself; a stream of appends has one for each append instead. */
  bar: Mutable<CallRow> | undefined
  /** By correlation id. */
  readonly appends: Map<number, Mutable<CallRow>>
}

/** Watches a run and keeps what its picture needs. */
export class Recorder implements Observer {
  readonly #world: World
  readonly #texts = new Map<string, number>()
  readonly #textList: string[] = []
  readonly #hosts = new Map<string, number>()
  readonly #groupNames = new Map<number, string>([[0, 'metadata']])
  readonly #groupIds = new Map<string, number>()
  #messages: Mutable<MessageRow>[] = []
  readonly #inFlight = new Map<Frame, Mutable<MessageRow>>()
  readonly #open = new Map<string, OpenCall>()
  readonly #answers = new Map<Frame, () => void>()
  readonly #roles: RoleRow[] = []
  readonly #lives: Mutable<LifeRow>[] = []
  readonly #living = new Map<number, Mutable<LifeRow>>()
  readonly #pauses: Mutable<PauseRow>[] = []
  readonly #blocks: Mutable<BlockRow>[] = []
  readonly #faults: FaultRow[] = []
  readonly #disks: DiskRows
  readonly #calls: Mutable<CallRow>[] = []
  readonly #notes: NoteRow[] = []
  /** Under way to the outside, with who asked. */
  readonly #asked = new Map<Mutable<CallRow>, number>()
  #thinned = 0
  #full = 0

  constructor(world: World) {
    this.#world = world
    for (const { id } of world.nodes) this.#host(id)
    this.#disks = new DiskRows(
      (group) => world.durableLogs.votersOf(group)?.length,
      (name) => this.#host(name),
    )
  }

  get #nowUs(): number {
    return this.#world.timeline.nowUs
  }

  /** Groups get the names by which people know them. */
  created({ name, partitions }: TopicMessage): void {
    for (const { groupId, partition } of partitions) {
      this.#groupNames.set(groupId, `${name}/${partition}`)
      this.#groupIds.set(`${name}/${partition}`, groupId)
    }
    this.#disks.votersKnown(this.#nowUs)
  }

  // -- messages and calls ----------------------------------------------------------------------------------------

  sent(wire: number, from: string, to: string, frame: Frame): void {
    switch (frame.type) {
      case 'window':
      case 'ping':
      case 'pong':
        return
      case 'call':
        this.#callBegins(wire, from, to, frame)
        return
      case 'message':
        this.#messageSent(wire, from, to, frame)
        return
      case 'status':
        this.#statusSent(wire, from, to, frame)
        return
      case 'cancel':
        this.#callEnds(`${wire}:${frame.callId}`, 'ended', 'no answer')
        return
      case 'goaway':
      case 'fin':
        this.#message(from, to, frame, 'connection', frame.type === 'fin' ? 'the connection closes' : 'stops')
        return
      case 'end':
    }
  }

  #callBegins(wire: number, from: string, to: string, frame: Extract<Frame, { type: 'call' }>): void {
    const { path, callId } = frame
    const host = this.#host(from)
    const isClient = !this.#isNode(from)
    this.#open.set(`${wire}:${callId}`, {
      path,
      wire,
      isClient,
      isUnary: frame.kind === 'unary',
      host,
      sinceUs: this.#nowUs,
      bar: undefined,
      appends: new Map(),
    })
    if (path === SUBSCRIBE) this.#message(from, to, frame, 'connection', 'subscribes to its messages')
  }

  #messageSent(wire: number, from: string, to: string, frame: Extract<Frame, { type: 'message' }>): void {
    const key = `${wire}:${frame.callId}`
    const call = this.#open.get(key)
    if (call === undefined) return
    if (call.path === SUBSCRIBE) {
      if (this.#host(from) === call.host) return
      const { kind, text, groups } = saidByPeer(frame.bytes, from, to)
      this.#message(from, to, frame, kind, text, groups)
      return
    }
    if (this.#host(from) === call.host) this.#requestSent(call, from, to, frame)
    else this.#answerSent(key, call, from, to, frame)
  }

  #requestSent(call: OpenCall, from: string, to: string, frame: Extract<Frame, { type: 'message' }>): void {
    const groupOf = (topic: string, partition: number): number | undefined =>
      this.#groupIds.get(`${topic}/${partition}`)
    if (call.path === APPEND_STREAM) {
      const appends = appendsIn(frame.bytes, groupOf)
      const groups = [...new Set(appends.flatMap((append) => append.groups))]
      this.#message(from, to, frame, 'client', appends.map(({ text }) => text).join('\n'), groups)
      if (!call.isClient) return
      for (const { correlationId, text, groups: of } of appends)
        call.appends.set(correlationId, this.#bar(call.host, text, of))
      return
    }
    const { text, groups } = asked(call.path, frame.bytes, groupOf)
    this.#message(from, to, frame, 'client', text, groups)
    if (call.isClient && call.bar === undefined && !call.path.endsWith('/WatchLayout'))
      call.bar = this.#bar(call.host, text, groups)
  }

  #answerSent(
    key: string,
    call: OpenCall,
    from: string,
    to: string,
    frame: Extract<Frame, { type: 'message' }>,
  ): void {
    const groups = call.bar?.[5] ?? []
    this.#message(from, to, frame, 'client', answered(call.path, frame.bytes), groups)
    if (!call.isClient) return
    if (call.path === APPEND_STREAM) {
      this.#answers.set(frame, () => {
        for (const result of resultsIn(frame.bytes)) this.#appendAnswered(call, result)
      })
    } else if (call.bar !== undefined && call.isUnary) {
      this.#answers.set(frame, () => {
        this.#closeBar(call.bar, 'answered', answered(call.path, frame.bytes))
        this.#open.delete(key)
      })
    }
  }

  #appendAnswered(call: OpenCall, result: CorrelatedResult): void {
    const bar = call.appends.get(result.correlationId)
    call.appends.delete(result.correlationId)
    const failed = 'error' in result
    const outcome = !failed ? 'answered' : result.error.effect === 'unknown' ? 'no answer' : 'refused'
    this.#closeBar(bar, outcome, resultText(result))
  }

  #statusSent(wire: number, from: string, to: string, frame: Extract<Frame, { type: 'status' }>): void {
    const key = `${wire}:${frame.callId}`
    const isGood = frame.code === 0
    if (!isGood) this.#message(from, to, frame, 'connection', `fails: ${frame.message}`)
    this.#answers.set(frame, () =>
      this.#callEnds(key, isGood ? 'ended' : 'refused', 'no answer', frame.message),
    )
  }

  /** `outcome` is that of the call itself, `ofAppends` that of what was under way on its stream. */
  #callEnds(key: string, outcome: CallOutcome, ofAppends: CallOutcome, why = ''): void {
    const call = this.#open.get(key)
    if (call === undefined) return
    this.#open.delete(key)
    this.#closeBar(call.bar, outcome, why)
    for (const bar of call.appends.values()) this.#closeBar(bar, ofAppends, why)
  }

  #bar(host: number, text: string, groups: readonly number[]): Mutable<CallRow> {
    const bar: Mutable<CallRow> = [
      this.#nowUs,
      -1,
      host,
      callOutcomes.indexOf('open'),
      this.#text(text),
      groups,
    ]
    if (this.#calls.length < MOST_ROWS) this.#calls.push(bar)
    else this.#full++
    return bar
  }

  #closeBar(bar: Mutable<CallRow> | undefined, outcome: CallOutcome, why: string): void {
    if (bar === undefined || bar[1] !== -1) return
    bar[1] = this.#nowUs
    bar[3] = callOutcomes.indexOf(outcome)
    if (why !== '') bar[4] = this.#text(`${this.#textList[bar[4]]}\n→ ${why}`)
  }

  #message(
    from: string,
    to: string,
    frame: Frame,
    kind: MessageKind,
    text: string,
    groups: readonly number[] = [],
  ): void {
    const row: Mutable<MessageRow> = [
      this.#nowUs,
      UNDER_WAY,
      this.#host(from),
      this.#host(to),
      messageKinds.indexOf(kind),
      this.#text(text),
      groups,
    ]
    this.#messages.push(row)
    this.#inFlight.set(frame, row)
    if (this.#messages.length > 4 * MOST_MESSAGES) this.#thinOut()
  }

  arrived(frame: Frame): void {
    const row = this.#inFlight.get(frame)
    if (row !== undefined) row[1] = this.#nowUs
    this.#inFlight.delete(frame)
    this.#answers.get(frame)?.()
    this.#answers.delete(frame)
  }

  dropped(frame: Frame): void {
    const row = this.#inFlight.get(frame)
    if (row !== undefined) row[1] = DROPPED
    this.#inFlight.delete(frame)
    this.#answers.delete(frame)
  }

  lost(wire: number): void {
    for (const [key, call] of this.#open) {
      if (call.wire !== wire) continue
      // Who reads has had answers, and goes on elsewhere.
      this.#callEnds(key, call.isUnary ? 'no answer' : 'ended', 'no answer', 'the connection is lost')
    }
  }

  asked(host: string, what: string): () => void {
    const bar = this.#bar(this.#host(host), what, [])
    this.#asked.set(bar, bar[2])
    return () => {
      this.#asked.delete(bar)
      this.#closeBar(bar, 'answered', '')
    }
  }

  /** What says least goes first: talk about connections, heartbeats, then what is oldest. */
  #thinOut(): void {
    const before = this.#messages.length
    const dull = new Set([messageKinds.indexOf('connection'), messageKinds.indexOf('heartbeat')])
    const isDull = ([, arrived, , , kind]: MessageRow): boolean => arrived !== DROPPED && dull.has(kind)
    if (before > MOST_MESSAGES) this.#messages = this.#messages.filter((row) => !isDull(row))
    if (this.#messages.length > MOST_MESSAGES) this.#messages = this.#messages.slice(-MOST_MESSAGES)
    this.#thinned += before - this.#messages.length
  }

  // -- machines --------------------------------------------------------------------------------------------------

  blocked(from: string, to: string, untilUs: number): void {
    this.#add(this.#blocks, [this.#nowUs, untilUs, this.#host(from), this.#host(to)])
  }

  healed(): void {
    for (const block of this.#blocks) block[1] = Math.min(block[1], this.#nowUs)
  }

  began(host: string): void {
    const life: Mutable<LifeRow> = [this.#nowUs, -1, this.#host(host), -1]
    this.#living.set(this.#host(host), life)
    this.#add(this.#lives, life)
  }

  ended(host: string, how: Ending): void {
    const life = this.#living.get(this.#host(host))
    if (life === undefined) return
    this.#living.delete(this.#host(host))
    life[1] = this.#nowUs
    life[3] = this.#text(how)
    for (const pause of this.#pauses) if (pause[2] === life[2]) pause[1] = Math.min(pause[1], this.#nowUs)
    for (const [key, call] of this.#open)
      if (call.host === life[2]) this.#callEnds(key, 'no answer', 'no answer', `the process was ${how}`)
    for (const [bar, asker] of this.#asked) {
      if (asker !== life[2]) continue
      this.#asked.delete(bar)
      this.#closeBar(bar, 'no answer', `the process was ${how}`)
    }
  }

  paused(host: string, untilUs: number): void {
    this.#add(this.#pauses, [this.#nowUs, untilUs, this.#host(host)])
  }

  role(host: string, groupId: number, role: string, term: number): void {
    this.#add(this.#roles, [this.#nowUs, this.#host(host), groupId, this.#text(role), term])
  }

  struck(kind: string, forMs: number, host: string | undefined): void {
    const where = host === undefined ? -1 : this.#host(host)
    this.#add(this.#faults, [this.#nowUs, forMs * 1000, where, this.#text(kind)])
  }

  noted(text: string): void {
    const host = /^([\w-]+)#\d+ /.exec(text)?.[1]
    this.#add(this.#notes, [
      this.#nowUs,
      host === undefined ? -1 : this.#host(host),
      this.#text(text.replaceAll(/\bgroup=(\d+)|\bgroup (\d+)/g, (_, one, two) => `§${one ?? two}§`)),
    ])
  }

  // -- disks -----------------------------------------------------------------------------------------------------

  durable(host: string, operations: readonly StoredOperation[]): void {
    this.#disks.durable(this.#nowUs, this.#host(host), operations)
  }

  // -- the picture -----------------------------------------------------------------------------------------------

  /** What was seen so far; the run is over. */
  picture(about: Pick<Picture, 'version' | 'replay' | 'title'>): Picture {
    const { plan, violations, trace } = this.#world
    const endUs = this.#nowUs
    if (this.#messages.length > MOST_MESSAGES) this.#thinOut()
    for (const [, life] of this.#living) life[1] = endUs
    const groups = new Set([...this.#roles.map(([, , group]) => group), ...this.#groupNames.keys()])
    const rows = {
      endUs,
      violations: violations.map(({ law, timeMs, detail }) => ({
        law,
        text: (laws as Readonly<Record<string, string>>)[law] ?? '',
        atUs: Math.round(timeMs * 1000),
        detail,
      })),
      hosts: [...this.#hosts.keys()].map((name) => ({ name, isNode: this.#isNode(name) })),
      groups: [...groups]
        .sort((left, right) => left - right)
        .map((id) => ({ id, name: this.#groupNames.get(id) ?? `group ${id}` })),
      messages: this.#messages,
      roles: this.#roles,
      lives: this.#lives,
      pauses: this.#pauses,
      blocks: this.#blocks,
      faults: this.#faults,
      entries: this.#disks.entries,
      hardStates: this.#disks.hardStates,
      commits: this.#disks.commits,
      calls: this.#calls,
      notes: this.#notes,
    }
    const story = storyOf({ ...rows, texts: this.#textList }).map(
      ([atUs, host, weight, text]) => [atUs, host, weight, this.#text(text)] as const,
    )
    return {
      ...about,
      seed: plan.seed,
      digest: trace.digest,
      ...rows,
      story,
      texts: this.#textList,
      leftOut: this.#leftOut(),
    }
  }

  #leftOut(): string[] {
    const out = ['flow control and pings of connections are not drawn']
    if (this.#thinned > 0) {
      out.push(
        `${this.#thinned} messages had no room: talk about connections, heartbeats, and what came before the last ${MOST_MESSAGES}`,
      )
    }
    const full = this.#full + this.#disks.full
    if (full > 0) out.push(`${full} other rows past the first ${MOST_ROWS} of their kind had no room`)
    return out
  }

  #add<Row>(rows: Row[], row: Row): void {
    if (rows.length < MOST_ROWS) rows.push(row)
    else this.#full++
  }

  #isNode(name: string): boolean {
    return this.#world.nodes.some(({ id }) => id === name)
  }

  #host(name: string): number {
    return numberOf(this.#hosts, name)
  }

  #text(text: string): number {
    const number = numberOf(this.#texts, text)
    if (number === this.#textList.length) this.#textList.push(text)
    return number
  }
}

function numberOf(numbers: Map<string, number>, name: string): number {
  let number = numbers.get(name)
  if (number === undefined) numbers.set(name, (number = numbers.size))
  return number
}
