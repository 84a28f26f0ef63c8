import type { Life } from '../env/life.ts'
import { GroupActor } from './group-actor.ts'
import { MembersActor } from './members-actor.ts'
import { OperatorActor } from './operator-actor.ts'
import { ProducerActor } from './producer-actor.ts'
import { ReaderActor } from './reader-actor.ts'
import type { Scene } from './scene.ts'
import { StubActor } from './stub-actor.ts'
import type { Work } from './work.ts'

/** Reads between the batches of a slow reader. */
const SLOW_US = 50_000

/** The users of a run. Each thing that they do is an event in the process that does it. */
export class Workload {
  readonly #scene: Scene
  readonly #producers: readonly ProducerActor[]
  readonly #stub: StubActor
  readonly #reader: ReaderActor
  readonly #operator: OperatorActor
  readonly group: GroupActor
  readonly #members: MembersActor

  constructor(scene: Scene) {
    this.#scene = scene
    this.#producers = Array.from(
      { length: scene.world.plan.producers },
      (_, at) => new ProducerActor(scene, at),
    )
    this.#stub = new StubActor(scene)
    this.#reader = new ReaderActor(scene)
    this.#operator = new OperatorActor(scene)
    this.group = new GroupActor(scene)
    this.#members = new MembersActor(scene, this.#operator.client)
  }

  get hosts(): string[] {
    const users = [...this.#producers, this.#stub, this.#reader, this.#operator].map(({ host }) => host)
    return [...users, ...this.group.hosts]
  }

  /** How far the reader that follows the topic has come. */
  followedTo(partition: number): number {
    return this.#reader.followedTo(partition)
  }

  /** Whether a node knows where the newest batch is that the stub appended to this partition. */
  isRemembered(partition: number, node: number): Promise<boolean> {
    return this.#stub.remembers(partition, node)
  }

  start(): void {
    this.#in(this.#reader.client.life, () => this.#reader.follow())
    this.group.start()
    for (const work of this.#scene.world.plan.work) {
      this.#scene.world.timeline.after(work.atMs * 1000, () => this.#begin(work))
    }
  }

  #begin(work: Work): void {
    const producer = this.#producers[work.actor % this.#producers.length]!
    const producing = producer.client.life
    const reading = this.#reader.client.life
    const operating = this.#operator.client.life
    switch (work.kind) {
      case 'send':
        return this.#in(producing, () => producer.send(work))
      case 'cancel':
        if (work.amount % 2 === 0) return this.#in(producing, () => producer.sendAndAbort(work))
        return this.#in(reading, () => this.#reader.readAndAbort(work))
      case 'zombie':
        return this.#in(producing, () => producer.becomeZombie())
      case 'client-crash':
        return producer.crash()
      case 'append-plain':
        return this.#in(this.#stub.client.life, () => this.#stub.appendPlain(work))
      case 'duplicate':
        return this.#in(this.#stub.client.life, () => this.#stub.appendTwice(work))
      case 'read':
        return this.#in(reading, () => this.#reader.readToEnd(work, 0))
      case 'slow-reader':
        this.#scene.world.struck('slow-reader')
        return this.#in(reading, () => this.#reader.readToEnd(work, SLOW_US))
      case 'read-replica':
        return this.#in(reading, () => this.#reader.readReplica(work))
      case 'offsets':
        return this.#in(reading, () => this.#reader.askForEnd(work))
      case 'describe':
        return this.#in(operating, () => this.#operator.describe())
      case 'transfer':
        return this.#in(operating, () => this.#operator.transfer(work))
      case 'topic-create':
        return this.#in(operating, () => this.#operator.createTopic(work))
      case 'topic-delete':
        return this.#in(operating, () => this.#operator.deleteTopic())
      case 'move':
        return this.#in(operating, () => this.#members.move(work))
      case 'leave':
        return this.#in(operating, () => this.#members.leave(work))
      case 'join':
        return this.#members.join()
    }
  }

  /** A rejection that comes out of here is a bug of ours or of the client: the world reports it. */
  #in(life: Life, act: () => Promise<void> | void): void {
    life.after(1, () => void act())
  }
}
