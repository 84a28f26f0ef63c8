import type { Cancel, Clock } from '../../env/index.ts'
import { GROUP_LIMITS, groupMethods, type MemberHeartbeat } from '../../wire/index.ts'
import type { Connections } from '../connections.ts'

/** The node has taken the beats by then, or each member beats on its own stream. */
const ANSWER_MS = 3000

/** A member's stream to a node. */
export interface Beating {
  /** undefined: it hasn't joined yet. */
  readonly heartbeat: MemberHeartbeat | undefined
  /** Its next beat is due soon and counts as sent now. */
  beatsEarly(nowMs: number): boolean
  answered(nowMs: number): void
  /** The node has not taken it. */
  beatAlone(): void
}

/**
 * The heartbeats of all members of a client. Those whose streams end at the same node go there in one call, whenever the first
 * of them is due: a process with a hundred quiet members sends one message in place of a hundred.
 */
export class JointBeats {
  readonly #connections: Connections
  readonly #clock: Clock
  readonly #byAddress = new Map<string, Set<Beating>>()

  constructor(connections: Connections, clock: Clock) {
    this.#connections = connections
    this.#clock = clock
  }

  /** For as long as the stream is open. */
  enter(address: string, beating: Beating): Cancel {
    const members = this.#byAddress.get(address) ?? new Set()
    this.#byAddress.set(address, members)
    members.add(beating)
    return () => {
      members.delete(beating)
      if (members.size === 0 && this.#byAddress.get(address) === members) this.#byAddress.delete(address)
    }
  }

  /** False: it has nobody to go with. */
  beat(address: string, due: Beating): boolean {
    const nowMs = this.#clock.nowMs()
    const members = this.#byAddress.get(address) ?? new Set()
    const joint = [due]
    for (const each of members) {
      if (joint.length === GROUP_LIMITS.maxHeartbeatMembers) break
      if (each !== due && each.beatsEarly(nowMs)) joint.push(each)
    }
    if (joint.length === 1) return false
    void this.#send(address, members, joint)
    return true
  }

  async #send(address: string, members: ReadonlySet<Beating>, joint: readonly Beating[]): Promise<void> {
    const deadlineMs = this.#clock.nowMs() + ANSWER_MS
    const request = { members: joint.flatMap(({ heartbeat }) => heartbeat ?? []) }
    let isTaken: (each: Beating) => boolean
    try {
      const connection = this.#connections.to(address)
      const { notHere } = await connection.unary(groupMethods.heartbeat, request, { deadlineMs })
      const others = new Set(notHere.map(keyOf))
      isTaken = ({ heartbeat }) => heartbeat !== undefined && !others.has(keyOf(heartbeat))
    } catch {
      // An older node doesn't know the call. One that hangs is noticed by each member's own question.
      isTaken = () => false
    }
    for (const each of joint) {
      if (!members.has(each)) continue
      if (isTaken(each)) each.answered(this.#clock.nowMs())
      else each.beatAlone()
    }
  }
}

function keyOf({ group, memberId, incarnation }: MemberHeartbeat): string {
  return `${group}/${memberId}/${incarnation}`
}
