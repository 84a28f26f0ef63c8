import { RandomStream } from '../../sim/core/random.ts'
import { HostClock, SimClock } from '../../sim/env/clock.ts'
import { SimDrive, type DriveEvents, type DriveSpeed } from '../../sim/env/disk/drive.ts'
import { Life } from '../../sim/env/life.ts'
import { SimLogger, type LogLine } from '../../sim/env/logger.ts'
import { Fabric } from '../../sim/env/network/index.ts'
import { SimRandom } from '../../sim/env/random.ts'
import { Timeline } from '../../sim/env/timeline.ts'
import type { Env } from '../../src/env/index.ts'

const quiet: DriveEvents = {
  onDurable: () => {},
  onLost: () => {},
  onFailedWrite: () => {},
  onDamage: () => {},
}

/** A small world for tests of its parts. Virtual time runs by itself, as fast as it can, while somebody waits. */
export class Bench {
  readonly timeline: Timeline
  readonly fabric: Fabric
  readonly lines: LogLine[] = []
  readonly #seed: number
  #running = true
  #lives = 0

  constructor(seed = 1) {
    this.#seed = seed
    this.timeline = new Timeline(new RandomStream(seed, 'schedule'))
    const speed = { latencyUs: [100, 500], bytesPerMs: 100_000 } as const
    this.fabric = new Fabric(this.timeline, new RandomStream(seed, 'network'), speed, { onArrival: () => {} })
    const pump = (): void => {
      if (!this.#running) return
      this.timeline.runNext(Infinity)
      setImmediate(pump)
    }
    pump()
  }

  drive(
    events: Partial<DriveEvents> = {},
    speed: DriveSpeed = { syncUs: [100, 300], otherUs: [10, 50] },
  ): SimDrive {
    const drive = new SimDrive(this.timeline, new RandomStream(this.#seed, 'disk'), speed, {
      ...quiet,
      ...events,
    })
    drive.tree.makeDirectory('/data')
    drive.tree.settleAll()
    return drive
  }

  life(host: string): Life {
    return new Life(this.timeline, `${host}#${++this.#lives}`, host)
  }

  /** What a process on this host gets. */
  env(life: Life, drive: SimDrive): Env {
    const clock = this.clock(life)
    const logger = new SimLogger((line) => this.lines.push(line))
    return {
      clock,
      logger,
      random: new SimRandom(new RandomStream(this.#seed, life.name)),
      disk: drive.mount(life),
      network: this.fabric.networkOf(life, clock, logger),
    }
  }

  clock(life: Life): SimClock {
    return new SimClock(
      life,
      new HostClock(this.timeline),
      new RandomStream(this.#seed, `clock ${life.name}`),
    )
  }

  stop(): void {
    this.#running = false
  }

  /** Waits so long in virtual time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.timeline.after(ms * 1000, resolve))
  }
}
