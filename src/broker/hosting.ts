import type { Clock, Logger } from '../env/index.ts'
import type { GroupId, LogStorage, RecoveredGroup } from '../log/types.ts'
import { asGroupId } from '../log/types.ts'
import { emptyBootstrap, joiningBootstrap, lifeOf } from '../raft/index.ts'
import { asNodeId, type Bootstrap, type Configuration, type NodeId } from '../raft/types.ts'
import { FlotillaError } from '../wire/errors.ts'
import { isBrokenInvariant } from './assert.ts'
import { HostedPartition } from './hosted-partition.ts'
import { METADATA_GROUP } from './metadata-group.ts'
import type { Lives } from './membership/lives.ts'
import { hostsOf, type PartitionPlace } from './metadata/events.ts'
import type { MetadataState } from './metadata/state.ts'
import type { NodeLoop } from './node-loop.ts'
import { PartitionMachine, type PartitionLimits } from './partition/machine.ts'
import type { Replica } from './replica.ts'
import type { StateMachine } from './state-machine.ts'
import type { Succession } from './succession.ts'

export const NO_STATE = new Uint8Array(0)
const HEAL_RETRY_MS = 1000

export interface HostingNode {
  readonly nodeId: NodeId
  readonly state: MetadataState
  /** What is folded is how things once were: MetadataReplay. */
  readonly isReplaying: boolean
  /** The cluster knows this node under a later life than it has: another process has come in its name. */
  readonly isReplaced: boolean
  makeReplica(groupId: GroupId, bootstrap: Bootstrap, life: number, machine: StateMachine): Replica
  /** Who leads the group is of no use any more. */
  forget(groupId: GroupId): void
  /** The group goes on elsewhere. */
  replicaIsGone(groupId: GroupId): void
  /** Whether the group has a leader elsewhere, so that a majority doesn't need what is here. */
  isLed(groupId: GroupId): boolean
  /** Asks the leader of the metadata group for a new life of this node's replica. */
  restartReplica(groupId: GroupId): Promise<number>
  fail(error: Error): void
}

/**
 * The partitions' replicas on this node: which are here, under which life of the disk, and what becomes of what the disk
 * holds. Law: nothing is deleted but what the metadata state says is deleted or has moved away, and a replica whose data
 * is gone never comes back under a life that it had.
 */
export class Hosting {
  /** Groups whose data can't be trusted, and why: they neither vote nor serve. */
  readonly damaged = new Map<GroupId, string>()
  readonly #node: HostingNode
  readonly #loop: NodeLoop
  readonly #storage: LogStorage
  readonly #lives: Lives
  readonly #succession: Succession
  readonly #limits: PartitionLimits
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #partitions = new Map<GroupId, HostedPartition>()
  /** Under which life each of them runs. */
  readonly #running = new Map<GroupId, number>()
  /** What the start found and nobody has taken up yet. */
  readonly #recovered: Map<GroupId, RecoveredGroup>
  /** Groups that storage has, whether hosted or not. */
  readonly #stored: Set<GroupId>
  /** States at the low ends of the logs that the start found. */
  readonly #lowStates = new Map<GroupId, Uint8Array>()
  /** Groups that wait for the disk: for their life to be written, or for what they had to be gone. */
  readonly #preparing = new Set<GroupId>()
  /** Damaged groups whose data are being put aside, which ends them on the disk as well. */
  readonly #asides = new Map<GroupId, Promise<string>>()
  #closed = false

  constructor(
    node: HostingNode,
    parts: {
      readonly loop: NodeLoop
      readonly storage: LogStorage
      readonly lives: Lives
      readonly succession: Succession
      readonly limits: PartitionLimits
      readonly clock: Clock
      readonly logger: Logger
    },
  ) {
    this.#node = node
    this.#loop = parts.loop
    this.#storage = parts.storage
    this.#lives = parts.lives
    this.#succession = parts.succession
    this.#limits = parts.limits
    this.#clock = parts.clock
    this.#logger = parts.logger
    this.#recovered = new Map(parts.storage.recovered)
    this.#recovered.delete(METADATA_GROUP)
    this.#stored = new Set(this.#recovered.keys())
  }

  /** Reads what hosting needs and only a promise gives. */
  async load(): Promise<void> {
    for (const recovered of this.#recovered.values()) {
      if (!recovered.ok || recovered.bootstrap.lowEnd.index === 0) continue
      this.#lowStates.set(recovered.groupId, (await this.#storage.readLowEnd(recovered.groupId)).state)
    }
  }

  get(groupId: GroupId): HostedPartition | undefined {
    return this.#partitions.get(groupId)
  }

  get all(): Iterable<HostedPartition> {
    return this.#partitions.values()
  }

  stop(error: () => FlotillaError): void {
    this.#closed = true
    for (const hosted of this.#partitions.values()) hosted.stop(error)
  }

  /** The whole state may be different: host what is placed here, drop what is gone from here, keep the rest. */
  reconcile(): void {
    const { state } = this.#node
    for (const topic of state.topics.values()) {
      for (const place of topic.partitions) this.placeChanged(topic.name, place)
    }
    for (const groupId of new Set([...this.#stored, ...this.#partitions.keys()])) {
      if (state.deletedGroupIds.has(groupId)) this.#delete(groupId)
    }
  }

  /** While the metadata are replayed, only what the disk holds is taken up; all else waits for reconcile(). */
  placeChanged(topic: string, place: PartitionPlace): void {
    const groupId = asGroupId(place.groupId)
    if (this.#node.isReplaying && !this.#recovered.has(groupId)) return
    if (hostsOf(place).includes(this.#node.nodeId)) this.#host(topic, place)
    else if (this.#node.isReplaying) return
    else if (place.moves !== undefined && place.target === undefined) this.#moveAway(groupId, topic, place)
  }

  topicDeleted(): void {
    for (const groupId of new Set([...this.#stored, ...this.#partitions.keys()])) {
      if (this.#node.state.deletedGroupIds.has(groupId)) this.#delete(groupId)
    }
  }

  // -- hosting -------------------------------------------------------------------------------------------------

  #hostAgain(groupId: GroupId): void {
    const found = this.#node.state.placeOf(groupId)
    if (found !== undefined && !this.#closed) this.placeChanged(found.topic.name, found.place)
  }

  #host(topic: string, place: PartitionPlace): void {
    const groupId = asGroupId(place.groupId)
    const wanted = place.lives?.[this.#node.nodeId] ?? 0
    if (this.#partitions.has(groupId)) {
      this.#checkLife(groupId, topic, place, wanted)
      return
    }
    if (this.damaged.has(groupId) || this.#preparing.has(groupId)) return
    const recovered = this.#recovered.get(groupId)
    if (recovered?.ok === false) {
      this.#foundDamaged(topic, place, recovered.damage)
      return
    }
    const known = recovered === undefined ? 0 : lifeOf(recovered.bootstrap.configuration, this.#node.nodeId)
    const life = Math.max(this.#lives.of(groupId), wanted, known)
    if (life > this.#lives.of(groupId)) this.#prepare(groupId, this.#lives.raise(groupId, life))
    else this.#start(topic, place, life, recovered?.bootstrap, recovered?.appliedState)
  }

  #start(
    topic: string,
    place: PartitionPlace,
    life: number,
    stored: Bootstrap | undefined,
    appliedState: Uint8Array = NO_STATE,
  ): void {
    const groupId = asGroupId(place.groupId)
    // Only who founds a group may know from elsewhere than its log who takes part.
    const isFounding = stored === undefined && life === 0 && place.moves === undefined
    const bootstrap =
      stored ?? (isFounding ? emptyBootstrap(configurationOf(place.replicas)) : joiningBootstrap())
    if (stored === undefined) {
      this.#loop.write({ groupId, create: { ...bootstrap.lowEnd, state: NO_STATE } })
      this.#stored.add(groupId)
    }
    // After a start, too: it asks by PreVote, so a leader that is there stays, and hears that this replica is back.
    const isFirst = place.replicas[0] === this.#node.nodeId
    if (isFirst && (isFounding || stored !== undefined)) this.#succession.stand(groupId)
    const machine = new PartitionMachine(
      place.partition,
      this.#clock,
      this.#limits,
      appliedState,
      this.#lowStates.get(groupId) ?? NO_STATE,
    )
    this.#recovered.delete(groupId)
    this.#storage.release(groupId)
    this.#lowStates.delete(groupId)
    const replica = this.#node.makeReplica(groupId, bootstrap, life, machine)
    this.#partitions.set(groupId, new HostedPartition(topic, replica, machine))
    this.#running.set(groupId, life)
  }

  /** Hosts the group once the disk has done something. */
  #prepare(groupId: GroupId, done: Promise<void>): void {
    this.#preparing.add(groupId)
    done.then(
      () => {
        this.#preparing.delete(groupId)
        this.#hostAgain(groupId)
      },
      (cause: unknown) => {
        if (this.#closed) return
        this.#node.fail(new Error(`group ${groupId} can't be made ready to be hosted`, { cause }))
      },
    )
  }

  /**
   * The cluster has the replica under a later life than it runs here. Where the node as a whole has one, another process
   * has come in its name. Else only this replica shall begin anew: it had moved away and is to come again, or this node
   * itself has asked for it; that was folded in one go with what went before, by a replay after a crash or by a snapshot.
   */
  #checkLife(groupId: GroupId, topic: string, place: PartitionPlace, wanted: number): void {
    const running = this.#running.get(groupId) ?? 0
    if (wanted <= running) return
    const { nodeId } = this.#node
    if (this.#node.isReplaced) {
      this.#node.fail(
        new FlotillaError(
          'DUPLICATE_NODE_ID',
          `group ${groupId} runs here under life ${running}, and the cluster has life ${wanted} for node ${nodeId}: another process has come in under its id; stop one of them for good, and start this one only with an empty folder`,
        ),
      )
      return
    }
    this.#logger.info({ group: groupId, topic, running, wanted }, 'replica begins anew under a later life')
    this.#end(
      groupId,
      () =>
        new FlotillaError(
          'REPLICA_UNAVAILABLE',
          `partition ${place.partition} of "${topic}" begins anew on node ${nodeId}`,
          { effect: 'unknown' },
        ),
    )
  }

  // -- damage --------------------------------------------------------------------------------------------------

  #foundDamaged(topic: string, place: PartitionPlace, damage: string): void {
    const groupId = asGroupId(place.groupId)
    this.damaged.set(groupId, damage)
    this.#logger.error(
      { topic, partition: place.partition, group: groupId, damage },
      'replica is damaged and is not served',
    )
    // Of one or two replicas the others are no majority.
    if (place.replicas.length >= 3) void this.#heal(groupId, damage)
  }

  /**
   * Starts a damaged replica anew from the others, once they have a leader without it. The new life comes first: were the
   * data put aside before, a crash in between would leave a replica without data under its old life.
   */
  async #heal(groupId: GroupId, damage: string): Promise<void> {
    while (!this.#closed && this.damaged.has(groupId)) {
      try {
        if (this.#node.isLed(groupId)) {
          const life = await this.#node.restartReplica(groupId)
          if (this.#closed) return
          if (!(await this.#isRaised(groupId, life)) || this.#closed || !this.damaged.has(groupId)) return
          const directory = await this.#putAside(groupId, damage)
          // It has ended meanwhile, and may have begun anew.
          if (!this.damaged.has(groupId)) return
          this.#logger.warn(
            { group: groupId, directory },
            'damaged data was put aside; the replica starts anew',
          )
          this.#recovered.delete(groupId)
          this.#stored.delete(groupId)
          this.damaged.delete(groupId)
          this.#hostAgain(groupId)
          return
        }
      } catch (error) {
        if (isBrokenInvariant(error)) return this.#node.fail(error)
        this.#logger.debug({ group: groupId, error: String(error) }, 'healing will be tried again')
      }
      await new Promise<void>((resolve) => void this.#clock.setTimer(HEAL_RETRY_MS, resolve))
    }
  }

  async #putAside(groupId: GroupId, damage: string): Promise<string> {
    const aside = this.#storage.quarantine(groupId, damage)
    this.#asides.set(groupId, aside)
    try {
      return await aside
    } finally {
      this.#asides.delete(groupId)
    }
  }

  /** As every write, one that fails is final: nobody knows then under which life the disk has the group. */
  async #isRaised(groupId: GroupId, life: number): Promise<boolean> {
    try {
      await this.#lives.raise(groupId, life)
      return true
    } catch (cause) {
      if (this.#closed) return false
      this.#node.fail(new Error(`the life of group ${groupId} can't be written`, { cause }))
      return false
    }
  }

  // -- leaving -------------------------------------------------------------------------------------------------

  #delete(groupId: GroupId): void {
    const topic = this.#partitions.get(groupId)?.topic ?? ''
    // What was proposed may have been committed, and read, before the deletion.
    this.#end(
      groupId,
      () => new FlotillaError('UNKNOWN_TOPIC', `topic "${topic}" was deleted`, { effect: 'unknown' }),
    )
    this.#node.forget(groupId)
  }

  #moveAway(groupId: GroupId, topic: string, place: PartitionPlace): void {
    if (!this.#stored.has(groupId)) return
    const name = `partition ${place.partition} of "${topic}"`
    this.#logger.info({ group: groupId, topic, replicas: place.replicas }, 'replica moved away')
    this.#end(
      groupId,
      () =>
        new FlotillaError(
          'REPLICA_UNAVAILABLE',
          `${name} moved away from node ${this.#node.nodeId}; it is on ${place.replicas.join(', ')}`,
          { effect: 'unknown' },
        ),
    )
    this.#node.replicaIsGone(groupId)
  }

  #end(groupId: GroupId, error: () => FlotillaError): void {
    const hosted = this.#partitions.get(groupId)
    if (hosted !== undefined) {
      hosted.stop(error)
      this.#partitions.delete(groupId)
      this.#running.delete(groupId)
      this.#loop.remove(hosted.replica)
    }
    this.#succession.forget(groupId)
    this.damaged.delete(groupId)
    this.#recovered.delete(groupId)
    this.#lowStates.delete(groupId)
    // Storage takes the end of a group once; a snapshot of the metadata group may name it again.
    if (!this.#stored.delete(groupId)) return
    const aside = this.#asides.get(groupId)
    this.#prepare(
      groupId,
      aside === undefined
        ? new Promise((resolve) => this.#loop.write({ groupId, destroy: true }, resolve))
        : aside.then(() => undefined),
    )
  }
}

export function configurationOf(nodeIds: readonly string[]): Configuration {
  return { voters: nodeIds.map(asNodeId).toSorted(), votersOutgoing: [], learners: [] }
}
