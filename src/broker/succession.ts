import type { GroupId } from '../log/types.ts'
import type { NodeId } from '../raft/types.ts'
import type { Replica } from './replica.ts'

/** At these ticks a node stands for election in a group that it is to lead, as long as nobody leads. */
const STANDING_TICKS: readonly number[] = [1, 3, 6, 9]
/** Ticks between the first and the second in line. */
const TICKS_PER_RANK = 2
/** So many groups at most stand at once; the others wait for their turn. */
export const MOST_STANDING = 50
/** So many groups at most are woken in a tick after a node was lost, so that elections don't come in a flood. */
const WAKES_PER_TICK = 200

/**
 * Who stands for election without waiting for a timeout: the preferred leader of a new group, and after the loss of a
 * leader's node the replicas that are left, one after the other. Consensus stays as it is: they stand through PreVote,
 * which keeps a leader in office that is alive after all.
 */
export class Succession {
  readonly #nodeId: NodeId
  readonly #replicas: ReadonlyMap<GroupId, Replica>
  readonly #isReachable: (node: NodeId) => boolean
  /** Groups without a leader, and for how many ticks; negative while others are first. */
  readonly #standing = new Map<GroupId, number>()
  readonly #toWake = new Set<Replica>()

  constructor(
    nodeId: NodeId,
    replicas: ReadonlyMap<GroupId, Replica>,
    isReachable: (node: NodeId) => boolean,
  ) {
    this.#nodeId = nodeId
    this.#replicas = replicas
    this.#isReachable = isReachable
  }

  /** This node is the preferred leader of a group that begins. */
  stand(groupId: GroupId): void {
    this.#standing.set(groupId, 0)
  }

  forget(groupId: GroupId): void {
    this.#standing.delete(groupId)
  }

  /** What the lost node led needs a leader, and what it followed may have lost its majority. */
  nodeLost(node: NodeId): void {
    for (const replica of this.#replicas.values()) {
      const { leader, configuration } = replica.status()
      // A quiet leader that has lost a follower must look again whether a majority still follows it.
      const leadsIt = replica.isQuiet && replica.isLeader && configuration.voters.includes(node)
      if (leader === node || leadsIt) this.#toWake.add(replica)
    }
    this.#wakeSome()
  }

  /** A learner that comes back can't wake a quiet group by asking for votes: its leader looks what it lacks. */
  nodeFound(node: NodeId): void {
    for (const replica of this.#replicas.values()) {
      if (!replica.isQuiet || !replica.isLeader) continue
      if (replica.status().configuration.learners.includes(node)) replica.wakeUp()
    }
  }

  tick(): void {
    this.#wakeSome()
    let left = MOST_STANDING
    for (const [groupId, age] of this.#standing) {
      if (left === 0) return
      left -= 1
      const replica = this.#replicas.get(groupId)
      const over = age > (STANDING_TICKS.at(-1) ?? 0)
      if (replica === undefined || over || replica.status().leader !== undefined) {
        this.#standing.delete(groupId)
        continue
      }
      this.#standing.set(groupId, age + 1)
      if (STANDING_TICKS.includes(age)) replica.step({ type: 'campaign' })
    }
  }

  #wakeSome(): void {
    let left = WAKES_PER_TICK
    for (const replica of this.#toWake) {
      if (left === 0) return
      left -= 1
      this.#toWake.delete(replica)
      replica.wakeUp()
      this.#succeed(replica)
    }
  }

  #succeed(replica: Replica): void {
    const { leader, configuration } = replica.status()
    if (leader === undefined || this.#isReachable(leader)) return
    replica.step({ type: 'forgetLeader' })
    const rank = configuration.voters.filter((id) => this.#isReachable(id)).indexOf(this.#nodeId)
    if (rank >= 0) this.#standing.set(replica.groupId, 1 - TICKS_PER_RANK * rank)
  }
}
