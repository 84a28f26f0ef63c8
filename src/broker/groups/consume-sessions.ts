import type { Cancel, Clock } from '../../env/index.ts'
import type { FlotillaError, MemberHeartbeat } from '../../wire/index.ts'
import type { GroupBeats } from '../peers/peer-methods.ts'
import type { ConsumeSession, MemberId } from './consume-session.ts'
import type { GroupCalls } from './group-calls.ts'

/** Members that were heard are reported to the coordinator so often, all in one call. */
const BEAT_MS = 300
const BEAT_DEADLINE_MS = 1000

/** The members whose streams end at this node. */
export class ConsumeSessions {
  readonly #calls: Pick<GroupCalls, 'beat'>
  readonly #clock: Clock
  readonly #sessions = new Set<ConsumeSession>()
  /** The youngest of each member. */
  readonly #byMember = new Map<string, ConsumeSession>()
  #cancelTimer: Cancel | undefined
  #isBeating = false

  constructor(calls: Pick<GroupCalls, 'beat'>, clock: Clock) {
    this.#calls = calls
    this.#clock = clock
  }

  add(session: ConsumeSession): void {
    this.#sessions.add(session)
    this.#cancelTimer ??= this.#clock.setTimer(BEAT_MS, () => this.#tick())
  }

  joined(session: ConsumeSession, member: MemberId): void {
    this.#byMember.set(keyOf(member), session)
  }

  remove(session: ConsumeSession): void {
    this.#sessions.delete(session)
    const { member } = session
    if (member === undefined) return
    const key = keyOf(member)
    if (this.#byMember.get(key) === session) this.#byMember.delete(key)
  }

  /** Gives back those whose streams don't end here: they are none of this node's business. */
  heard(members: readonly MemberHeartbeat[]): MemberHeartbeat[] {
    return members.filter((member) => this.#byMember.get(keyOf(member))?.heard(member.incarnation) !== true)
  }

  close(error: FlotillaError): void {
    this.#cancelTimer?.()
    for (const session of this.#sessions) session.stop(error)
    this.#sessions.clear()
    this.#byMember.clear()
  }

  #tick(): void {
    this.#cancelTimer = undefined
    if (this.#sessions.size === 0) return
    const nowMs = this.#clock.nowMs()
    for (const session of this.#sessions) session.tick(nowMs)
    void this.#beat(nowMs)
    this.#cancelTimer = this.#clock.setTimer(BEAT_MS, () => this.#tick())
  }

  /** A report that isn't heard is made again at the next tick, with how long the silence is by then. */
  async #beat(nowMs: number): Promise<void> {
    if (this.#isBeating) return
    const heard = [...this.#sessions].flatMap((session) => {
      const { beat } = session
      return beat === undefined ? [] : [{ session, beat }]
    })
    if (heard.length === 0) return
    this.#isBeating = true
    const beats: GroupBeats['beats'] = heard.map(({ beat: { heardMs, ...member } }) => ({
      ...member,
      silentMs: nowMs - heardMs,
    }))
    try {
      await this.#calls.beat({ beats }, nowMs + BEAT_DEADLINE_MS)
      for (const { session, beat } of heard) session.confirmed(beat.heardMs)
    } catch {
      // Without a coordinator nobody's lease ends either.
    } finally {
      this.#isBeating = false
    }
  }
}

function keyOf({ group, memberId }: MemberId): string {
  // No group's name has a slash.
  return `${group}/${memberId}`
}
