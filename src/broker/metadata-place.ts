import type { Clock, Logger } from '../env/index.ts'
import type { LogStorage } from '../log/types.ts'
import { emptyBootstrap, joiningBootstrap, lifeOf } from '../raft/index.ts'
import type { Bootstrap, NodeId } from '../raft/types.ts'
import { FlotillaError } from '../wire/errors.ts'
import type { ServerConfig } from './config.ts'
import { NO_STATE, configurationOf } from './hosting.ts'
import type { Lives } from './membership/lives.ts'
import type { MetadataCommand, MetadataLimits, MetadataResult } from './metadata/decide.ts'
import type { MetadataEvent } from './metadata/events.ts'
import { MetadataMachine } from './metadata/machine.ts'
import { MetadataState } from './metadata/state.ts'
import { METADATA_GROUP } from './metadata-group.ts'
import type { NodeLoop } from './node-loop.ts'
import type { Standing } from './peers/peer-codec.ts'
import type { Replica } from './replica.ts'
import type { Succession } from './succession.ts'

interface Held {
  readonly replica: Replica
  readonly machine: MetadataMachine
}

/**
 * This node's place in the metadata group. Where its disk holds one, it goes on from there; where not, a replica stands in
 * that is in no loop and so neither hears nor says anything, until the node founds the cluster or is taken in by it
 * (membership/admission.ts).
 */
export class MetadataPlace {
  readonly #nodeId: NodeId
  readonly #config: ServerConfig
  readonly #limits: Omit<MetadataLimits, 'memberCount'>
  readonly #storage: LogStorage
  readonly #lives: Lives
  readonly #loop: NodeLoop
  readonly #succession: Succession
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #makeReplica: (bootstrap: Bootstrap, life: number, machine: MetadataMachine) => Replica
  readonly #onChange: (event: MetadataEvent | undefined) => void
  readonly #fail: (error: Error) => void
  #held: Held
  #life = 0
  #isHeld: boolean

  constructor(parts: {
    readonly nodeId: NodeId
    readonly config: ServerConfig
    readonly limits: Omit<MetadataLimits, 'memberCount'>
    readonly storage: LogStorage
    readonly lives: Lives
    readonly loop: NodeLoop
    readonly succession: Succession
    readonly clock: Clock
    readonly logger: Logger
    readonly makeReplica: (bootstrap: Bootstrap, life: number, machine: MetadataMachine) => Replica
    readonly onChange: (event: MetadataEvent | undefined) => void
    readonly fail: (error: Error) => void
  }) {
    this.#nodeId = parts.nodeId
    this.#config = parts.config
    this.#limits = parts.limits
    this.#storage = parts.storage
    this.#lives = parts.lives
    this.#loop = parts.loop
    this.#succession = parts.succession
    this.#clock = parts.clock
    this.#logger = parts.logger
    this.#makeReplica = parts.makeReplica
    this.#onChange = parts.onChange
    this.#fail = parts.fail
    const resumed = this.#resume()
    this.#isHeld = resumed !== undefined
    this.#held = resumed ?? this.#standIn()
  }

  get replica(): Replica {
    return this.#held.replica
  }

  get machine(): MetadataMachine {
    return this.#held.machine
  }

  /** Takes part in the group. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** What other nodes are told, so that they know whether a cluster is there already. */
  get standing(): Standing {
    const { recovered, clusterId } = this.#storage
    const knowsCluster = clusterId !== undefined || this.machine.state.clusterId !== ''
    if (this.#isHeld) return knowsCluster ? 'established' : 'founding'
    return knowsCluster || recovered.has(METADATA_GROUP) ? 'established' : 'fresh'
  }

  /** Under which life of its disk the replica runs. */
  get life(): number {
    return this.#life
  }

  /**
   * What is folded reaches to this node's present life. Before that it is how things were under an earlier one, by which
   * a disk that was lost since would found groups that it once took part in.
   */
  get knowsOwnLife(): boolean {
    return (this.machine.state.metadataLives.get(this.#nodeId) ?? 0) >= this.#life
  }

  /** Another process has come in under this node's id: what is folded has a later life than the one that this is. */
  get isReplaced(): boolean {
    return (this.machine.state.metadataLives.get(this.#nodeId) ?? 0) > this.#life
  }

  /** Begins the cluster together with the others of the list. */
  found(): void {
    this.#hold(this.#founded())
  }

  /** Takes part from nothing, in the cluster with this id and under this life. */
  async enter(clusterId: string, life: number): Promise<void> {
    if (this.#isHeld) return
    await this.#storage.setClusterId(clusterId)
    await this.#lives.raise(METADATA_GROUP, life)
    const recovered = this.#storage.recovered.get(METADATA_GROUP)
    if (recovered?.ok === false) {
      const directory = await this.#storage.quarantine(METADATA_GROUP, recovered.damage)
      this.#logger.warn({ directory, damage: recovered.damage }, 'damaged metadata were put aside')
    }
    const bootstrap = joiningBootstrap()
    this.#loop.write({ groupId: METADATA_GROUP, create: { ...bootstrap.lowEnd, state: NO_STATE } })
    this.#logger.info({ node: this.#nodeId, clusterId, life }, 'taken in by the cluster')
    this.#hold(this.#started(bootstrap, life, NO_STATE))
  }

  /** Keeps the cluster's id in the data folder as soon as it is known; whether that is news. */
  learnClusterId(): boolean {
    const { clusterId } = this.machine.state
    if (clusterId === '' || this.#storage.clusterId === clusterId) return false
    if (this.#storage.clusterId !== undefined) {
      const text = `the data folder ${this.#config.dataDirectory} belongs to the cluster with id ${this.#storage.clusterId}, not to ${clusterId}`
      this.#fail(new FlotillaError('CLUSTER_MISMATCH', text))
      return false
    }
    this.#storage
      .setClusterId(clusterId)
      .catch((error: unknown) => this.#fail(new Error(String(error), { cause: error })))
    return true
  }

  #hold(held: Held): void {
    this.#held = held
    this.#isHeld = true
    this.#onChange(undefined)
  }

  /** Where the disk holds the group, or this node is all of its cluster; undefined where it must be let in first. */
  #resume(): Held | undefined {
    const { cluster, join = [], dataDirectory } = this.#config
    const recovered = this.#storage.recovered.get(METADATA_GROUP)
    const isAlone = cluster.length === 1 && join.length === 0
    if (recovered?.ok === false) {
      if (isAlone) throw new Error(`the metadata group in ${dataDirectory} is damaged: ${recovered.damage}`)
      const { damage } = recovered
      this.#logger.error({ group: METADATA_GROUP, damage }, 'replica is damaged and is not served')
      return undefined
    }
    if (recovered === undefined) return isAlone ? this.#founded() : undefined
    const { bootstrap, appliedState } = recovered
    const inConfiguration = lifeOf(bootstrap.configuration, this.#nodeId)
    const inState = MetadataState.decode(appliedState).metadataLives.get(this.#nodeId) ?? 0
    const life = Math.max(this.#lives.of(METADATA_GROUP), inConfiguration, inState)
    return this.#started(bootstrap, life, appliedState)
  }

  #founded(): Held {
    const ids = this.#config.cluster.map((member) => member.nodeId)
    const bootstrap = emptyBootstrap(configurationOf(ids))
    this.#loop.write({ groupId: METADATA_GROUP, create: { ...bootstrap.lowEnd, state: NO_STATE } })
    // All begin at the same moment: one that stands before the others saves them a timeout.
    if (ids.toSorted()[0] === this.#nodeId) this.#succession.stand(METADATA_GROUP)
    return this.#started(bootstrap, 0, NO_STATE)
  }

  #started(bootstrap: Bootstrap, life: number, appliedState: Uint8Array): Held {
    this.#life = life
    const machine = this.#makeMachine(appliedState)
    const replica = this.#makeReplica(bootstrap, life, machine)
    this.#loop.add(replica)
    return { machine, replica }
  }

  #standIn(): Held {
    const machine = this.#makeMachine(NO_STATE)
    return { machine, replica: this.#makeReplica(joiningBootstrap(), 0, machine) }
  }

  #makeMachine(state: Uint8Array): MetadataMachine {
    const limits = { ...this.#limits, memberCount: this.#config.cluster.length }
    return new MetadataMachine(this.#clock, limits, state, this.#onChange)
  }
}

/** Has the machine decide on a command; rejects with `notLeader` where this replica doesn't lead the metadata group. */
export function changeHere(
  { replica, machine }: Held,
  command: MetadataCommand,
  deadlineMs: number,
  notLeader: () => FlotillaError,
): Promise<MetadataResult> {
  return new Promise((resolve, reject) => {
    if (!replica.isLeader) {
      reject(notLeader())
      return
    }
    const done = (outcome: MetadataResult | FlotillaError): void =>
      outcome instanceof FlotillaError ? reject(outcome) : resolve(outcome)
    machine.submit(command, { deadlineMs, done })
    replica.commandsQueued()
  })
}
