import type { Env } from '../../src/env/index.ts'
import { FlotillaError } from '../../src/client/index.ts'
import { startServer, type RunningServer, type ServerConfig } from '../../src/broker/index.ts'
import { turnKey } from '../../src/log/keys.ts'
import { RandomStream } from '../core/random.ts'
import { HostClock, SimClock } from '../env/clock.ts'
import { SimDrive } from '../env/disk/drive.ts'
import { Life } from '../env/life.ts'
import { SimLogger, type LogLine } from '../env/logger.ts'
import { SimRandom } from '../env/random.ts'
import type { Ending } from './observer.ts'
import type { World } from './world.ts'

export const PORT = 7101
/** Where each machine has its node's data. */
const DATA = '/data'

/** A broker that this drive failed may be started again after so long. */
const REPAIR_MS = [100, 1500] as const
/** A node that could not start is tried again after so long. */
const START_AGAIN_MS = 500

/** As src/broker/assert.ts and src/log/assert.ts say it. */
const BROKEN_INVARIANT = /\bassertion [\w.-]+ failed/

/** One machine with the production broker on it: its disk and clocks outlive its processes. */
export class SimNode {
  readonly id: string
  readonly address: string
  readonly drive: SimDrive
  readonly clock: HostClock
  readonly #world: World
  #life: Life | undefined
  #server: RunningServer | undefined
  #lives = 0
  /** The disk has failed a write of this life. */
  #diskFailed = false
  /** Its disk has given, or lost, something else than was written. */
  #isDamaged = false
  /** Stays down for good. */
  #retired = false
  /** Begins with a list; otherwise it joins. */
  #isFounder: boolean
  /** Doesn't belong to the cluster: it has not joined yet, or has left. */
  #isOutside: boolean
  /** Its disk was used by a node that has left. */
  #isUsed = false
  #isJoining = false

  constructor(world: World, id: string, isFounder: boolean) {
    this.#world = world
    this.id = id
    this.#isFounder = isFounder
    this.#isOutside = !isFounder
    this.address = `${id}:${PORT}`
    const { plan, timeline } = world
    this.clock = new HostClock(timeline)
    this.drive = new SimDrive(timeline, new RandomStream(plan.seed, `disk ${id}`), plan.shape, {
      onDurable: (operations) => {
        world.durableLogs.onDurable(id, operations)
        world.observer?.durable(id, operations)
      },
      onLost: (what) => world.count(`lost ${what}`),
      onFailedWrite: (why) => {
        this.#diskFailed = true
        world.struck(why === 'io-error' ? 'io-error' : 'disk-full')
      },
      onDamage: (what) => {
        this.#isDamaged = true
        if (what === 'read-flip') world.struck(what)
      },
    })
    this.drive.formatted()
  }

  /** Under which life of its disk it takes part in a group, as the disk says; 0 where a group isn't named. */
  livesOfGroups(): ReadonlyMap<number, number> {
    const file = this.drive.tree.at(`${DATA}/lives`)
    if (file === undefined || file === 'directory') return new Map()
    const [, text = '[]'] = Buffer.from(file.read(0, file.length)).toString('utf8').split('\n')
    return new Map(JSON.parse(text) as [number, number][])
  }

  get life(): Life | undefined {
    return this.#life
  }

  get isUp(): boolean {
    return this.#life !== undefined
  }

  get isRetired(): boolean {
    return this.#retired
  }

  get isOutside(): boolean {
    return this.#isOutside
  }

  get server(): RunningServer | undefined {
    return this.#server
  }

  start(): void {
    if (this.#life !== undefined || this.#retired || this.#isOutside) return
    const world = this.#world
    const life = new Life(world.timeline, `${this.id}#${++this.#lives}`, this.id)
    this.#life = life
    this.#diskFailed = false
    world.fabric.setDark(this.id, false)
    world.note(`${life.name} starts`)
    world.observer?.began(this.id)
    const env = world.dressed(this.id, this.#envOf(life))
    // In an event of its own: a process begins when the machine has time for it.
    life.after(1, () => {
      startServer(env, this.#config()).then(
        (server) => this.#started(life, server),
        (error: unknown) => this.#startFailed(life, error),
      )
    })
  }

  #envOf(life: Life): Env {
    const { plan, fabric } = this.#world
    const clock = new SimClock(life, this.clock, new RandomStream(plan.seed, `clock ${life.name}`))
    const logger = new SimLogger((line) => this.#logged(life, line))
    return {
      clock,
      random: new SimRandom(new RandomStream(plan.seed, `random ${life.name}`)),
      disk: this.drive.mount(life),
      network: fabric.networkOf(life, clock, logger),
      logger,
    }
  }

  #config(): ServerConfig {
    const { shape } = this.#world.plan
    return {
      nodeId: this.id,
      listen: this.address,
      dataDirectory: DATA,
      ...(this.#isFounder
        ? { cluster: this.#world.members }
        : { cluster: [], join: this.#othersAddresses() }),
      clusterName: 'sim',
      hostLabel: this.id,
      limits: {
        tickMs: shape.tickMs,
        electionTimeoutMs: shape.electionTimeoutMs,
        heartbeatMs: shape.heartbeatMs,
        stalledDiskMs: shape.stalledDiskMs,
        segmentThresholdBytes: shape.segmentThresholdBytes,
        segmentBytes: shape.segmentBytes,
        crowdedAboveGroups: shape.crowdedAboveGroups,
        sharedThresholdBytes: shape.sharedThresholdBytes,
        sharedSegmentBytes: shape.sharedSegmentBytes,
        sharedBytes: shape.sharedBytes,
        saveStateEntries: shape.saveStateEntries,
        windowBytes: shape.windowBytes,
        metadataCompactEntries: shape.metadataCompactEntries,
        appendTimeoutMs: shape.appendTimeoutMs,
        maxInflightBytesPerPartition: shape.maxInflightBytesPerPartition,
        shutdownMs: 1000,
      },
    }
  }

  #othersAddresses(): string[] {
    return this.#world.nodes.filter(({ id }) => id !== this.id).map(({ address }) => address)
  }

  #started(life: Life, server: RunningServer): void {
    this.#server = server
    if (this.#isJoining) {
      const joined = (): void => {
        this.#isJoining = false
        this.#world.struck('join')
      }
      // Closed before.
      server.ready.then(joined, () => undefined)
    }
    void server.failed.then((error) => this.#gaveUp(life, error))
  }

  #startFailed(life: Life, error: unknown): void {
    this.#world.note(`${life.name} could not start: ${String(error)}`)
    if (!this.#diskFailed && !this.#isTold(error))
      this.#world.report('node-gave-up', `${life.name} could not start: ${stackOf(error)}`)
    this.#die('gave up')
    this.#world.timeline.after(START_AGAIN_MS * 1000, () => this.start())
  }

  /** It says that its folder is damaged, and it is. */
  #isTold(error: unknown): boolean {
    return (
      this.#isDamaged && error instanceof Error && /damaged|wrong checksum|isn't what/.test(error.message)
    )
  }

  #gaveUp(life: Life, error: Error): void {
    this.#world.note(`${life.name} gave up: ${error.message}`)
    if (
      error instanceof FlotillaError &&
      error.reason === 'NODE_REMOVED' &&
      this.#world.leaving.has(this.id)
    ) {
      life.after(1, () => this.leave())
      return
    }
    if (!this.#diskFailed) this.#world.report('node-gave-up', `${life.name}: ${stackOf(error)}`)
    // What runs the broker sees it and ends the process; somebody looks at the disk and starts it again.
    const { random } = this.drive
    life.after(random.below(20_000), () => {
      this.#die('gave up')
      const [soonest, latest] = REPAIR_MS
      this.#world.timeline.after(random.between(soonest, latest) * 1000, () => this.start())
    })
  }

  #logged(life: Life, { level, message, fields }: LogLine): void {
    if (message === 'leadership') {
      const [group, term, role] = [Number(fields['group']), Number(fields['term']), String(fields['role'])]
      this.#world.observer?.role(this.id, group, role, term)
      if (role === 'leader') this.#world.leads(group, term, this.id)
    }
    if (message === 'members change')
      this.#world.durableLogs.membersChange(Number(fields['group']), fields['changes'] as readonly string[])
    const text = textOf(fields)
    this.#world.note(`${life.name} ${level === 'debug' ? '' : `${level} `}${message} ${text}`)
    if (message === 'a handler failed unexpectedly') {
      this.#world.report(
        'internal-error',
        `${life.name}: ${String(fields['path'])}: ${stackOf(fields['err'])}`,
      )
    } else if (
      (message.startsWith('replica is damaged') && !this.#isDamaged) ||
      message === 'invariant broken'
    ) {
      this.#world.report('node-gave-up', `${life.name}: ${message}: ${text}`)
    } else if (BROKEN_INVARIANT.test(text)) {
      // Told in passing, as a reason to try again perhaps.
      this.#world.report('internal-error', `${life.name}: ${message}: ${text}`)
    }
  }

  /** LevelDB's log loses a turn while no process has it open. */
  loseRecord(): boolean {
    const turn = Buffer.from(turnKey).toString('latin1')
    return this.drive.loseRecord((operations) => operations.some(({ key }) => key === turn))
  }

  /** SIGKILL. */
  kill(): void {
    if (this.#life === undefined) return
    this.#world.note(`${this.#life.name} is killed`)
    this.#die('killed')
  }

  losePower(): void {
    if (this.#life === undefined) return
    this.#world.note(`${this.#life.name} loses its power`)
    this.#die('power lost')
  }

  /** An operator stops it and it ends by itself; `onStopped` is called then. */
  stop(onStopped: () => void): void {
    const life = this.#life
    const server = this.#server
    if (life === undefined || server === undefined) return
    this.#world.note(`${life.name} is stopped`)
    life.after(1, () => {
      void server
        .close()
        .then(
          () => {
            // Another process may have the folder from now on.
            if (life.isAlive && this.drive.isChanging)
              this.#world.report('internal-error', `${life.name} has closed and still writes to its disk`)
          },
          (error: unknown) => {
            if (!this.#diskFailed)
              this.#world.report('internal-error', `${life.name} did not stop: ${stackOf(error)}`)
          },
        )
        .then(() => {
          this.#die('stopped')
          onStopped()
        })
    })
  }

  /** A machine that has nothing to do with the cluster, or no more, starts a node that joins it. */
  join(): void {
    if (!this.#isOutside) return
    if (this.#isUsed) this.loseDisk()
    this.#isFounder = false
    this.#isOutside = false
    this.#isJoining = true
    this.#world.leaving.delete(this.id)
    this.start()
  }

  /** It was removed, and is stopped. */
  leave(): void {
    this.#isOutside = true
    this.#isUsed = true
    this.#isJoining = false
    this.kill()
  }

  /** Whatever it had is gone; what runs is killed first. */
  loseDisk(): void {
    this.kill()
    this.#world.note(`${this.id} has an empty disk`)
    this.drive.replace()
    this.#world.durableLogs.diskLost(this.id)
  }

  /** Down for the rest of the run. */
  retire(): void {
    this.#retired = true
    this.kill()
  }

  #die(how: Ending): void {
    const life = this.#life
    if (life === undefined) return
    const dark = how === 'power lost'
    this.#world.observer?.ended(this.id, how)
    life.end()
    this.#life = undefined
    this.#server = undefined
    this.#world.fabric.setDark(this.id, dark)
    this.#world.fabric.processEnded(life, dark)
    this.drive.processEnded()
    if (dark) this.drive.powerLost()
  }
}

export function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function textOf(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value instanceof Error ? value.message : String(value)}`)
    .join(' ')
}
