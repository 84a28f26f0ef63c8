import { RpcError, type Connection } from '../../src/env/index.ts'
import { fromRpcError, groupMethods, type FetchedOffset } from '../../src/wire/index.ts'
import { RandomStream } from '../core/random.ts'
import { GROUP, GroupMemberProcess } from './group-member.ts'
import { TOPIC, type Scene } from './scene.ts'
import type { GroupWork } from './work.ts'

const RESTART_US = 500_000

/** The members of one consumer group: they come, go, crash, and pause for longer than their lease. */
export class GroupActor {
  readonly #scene: Scene
  readonly #slots: (GroupMemberProcess | undefined)[]
  readonly #random: RandomStream

  constructor(scene: Scene) {
    this.#scene = scene
    this.#random = new RandomStream(scene.world.plan.seed, 'group')
    this.#slots = Array.from({ length: scene.world.plan.members }, () => undefined)
  }

  get hosts(): string[] {
    return this.#slots.map((_, slot) => `member-${slot}`)
  }

  start(): void {
    this.#slots.forEach((_, slot) => this.#join(slot))
    const { world } = this.#scene
    for (const work of world.plan.groupWork) world.timeline.after(work.atMs * 1000, () => this.#begin(work))
  }

  #begin({ kind, member, forMs }: GroupWork): void {
    const { world } = this.#scene
    const slot = member % this.#slots.length
    const running = this.#slots[slot]
    switch (kind) {
      case 'member-joins':
        return this.#join(slot)
      case 'member-leaves':
        running?.client.life.after(1, () => running.leave())
        this.#slots[slot] = undefined
        return
      case 'member-crashes':
        if (running === undefined) return
        world.count('member crashed')
        running.client.kill(world)
        this.#slots[slot] = undefined
        // Somebody watches over it.
        world.timeline.after(forMs * 1000, () => this.#join(slot))
        return
      case 'member-pauses':
        world.count('member paused')
        running?.client.life.pauseUntil(world.timeline.nowUs + forMs * 1000)
        return
      case 'member-doubles':
        // Another process starts under the id of one that runs.
        if (running !== undefined) this.#spawn(slot)
    }
  }

  #join(slot: number): void {
    if (this.#slots[slot]?.isRunning !== true) this.#spawn(slot)
  }

  #spawn(slot: number): void {
    const client = this.#scene.client(`member-${slot}`)
    const random = new RandomStream(this.#scene.world.plan.seed, client.name)
    const member = new GroupMemberProcess(
      this.#scene,
      client,
      random,
      slot % 2 === 1 ? `static-${slot}` : undefined,
      (fenced) => this.#restart(slot, fenced),
    )
    this.#slots[slot] = member
    member.start()
  }

  /**
   * Whoever watches over a process starts it again. The youngest of a name can only have been fenced by a stream that it had
   * given up: what that had asked for was done after all, and last.
   */
  #restart(slot: number, fenced: GroupMemberProcess): void {
    if (this.#slots[slot] !== fenced) return
    this.#scene.world.count('member fenced by itself')
    this.#scene.world.timeline.after(RESTART_US, () => this.#join(slot))
  }

  /** After the healing: somebody is there who handles what is left. */
  ensureOne(): void {
    this.#scene.isHealed = true
    if (this.#slots.length > 0) this.#join(this.#random.below(this.#slots.length))
  }

  /** True: the group has committed all of a partition, of which `end` records are known. Asks whatever node. */
  async isDone(connection: Connection, partition: number): Promise<boolean> {
    const { world } = this.#scene
    const floor = world.groups.floor(partition)
    let found: FetchedOffset | undefined
    try {
      const request = { group: GROUP, partitions: [{ topic: TOPIC, partition }] }
      found = (await connection.unary(groupMethods.fetchOffsets, request)).offsets[0]
    } catch (error) {
      this.#scene.failure(error instanceof RpcError ? fromRpcError(error) : error)
    }
    if (found === undefined || (found.error ?? undefined) !== undefined) return false
    const { committedOffset = 0, highWatermark } = found
    world.groups.seenCommitted(partition, committedOffset, highWatermark)
    world.groups.isBelowFloor(partition, floor, committedOffset)
    if (committedOffset < highWatermark) return false
    world.groups.finish(partition, highWatermark)
    return true
  }
}
