import type { Clock } from '../env/index.ts'
import type { GroupId } from '../log/types.ts'
import type { Replica } from './replica.ts'

/** Hands over what the replicas of a node lead, and waits until others lead it, for at most `timeoutMs`. */
export async function handOver(
  replicas: ReadonlyMap<GroupId, Replica>,
  clock: Clock,
  tickMs: number,
  timeoutMs: number,
): Promise<void> {
  const deadlineMs = clock.nowMs() + timeoutMs
  for (;;) {
    const led = [...replicas.values()].filter((replica) => replica.isLeader)
    // One without a live follower can't be handed to anybody.
    const movable = led.filter((replica) => replica.status().followers.some((each) => each.recentlyActive))
    if (movable.length === 0 || clock.nowMs() >= deadlineMs) return
    for (const replica of movable) replica.step({ type: 'transfer', to: undefined })
    await new Promise<void>((resolve) => void clock.setTimer(tickMs, resolve))
  }
}
