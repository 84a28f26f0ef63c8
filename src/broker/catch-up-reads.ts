import type { Logger } from '../env/index.ts'
import { DamagedEntryError, EntriesCompactedError } from '../log/index.ts'
import type { LogIndex, NodeId } from '../raft/types.ts'
import type { Replica, ReplicaHost } from './replica.ts'

/** Reads entries for a follower that needs older ones than memory holds, and gives them to the core. */
export function fetchFor(
  replica: Replica,
  host: Pick<ReplicaHost, 'readEntries'>,
  logger: Logger,
  { to, from, maxBytes }: { readonly to: NodeId; readonly from: LogIndex; readonly maxBytes: number },
): void {
  const { groupId } = replica
  const last = replica.status().last.index
  host.readEntries(groupId, from, last, maxBytes, 'one').then(
    (entries) => replica.step({ type: 'fetched', to, from, entries }),
    (error: unknown) => {
      // Below the low end a snapshot helps; on a failed read the follower is tried again later.
      if (error instanceof EntriesCompactedError) {
        replica.step({ type: 'fetched', to, from, entries: [] })
        return
      }
      const text = 'entries for a follower could not be read'
      logger.warn({ group: groupId, to, from, error: String(error) }, text)
      replica.step({ type: 'unreachable', to })
      giveWay(replica, logger, error)
    },
  )
}

/** Reads the state at the log's low end for a follower that is further behind, and gives it to the core. */
export function loadSnapshotFor(
  replica: Replica,
  host: Pick<ReplicaHost, 'readLowEnd'>,
  logger: Logger,
  to: NodeId,
): void {
  const { groupId } = replica
  host.readLowEnd(groupId).then(
    (snapshot) => {
      const { index, state } = snapshot
      logger.info({ group: groupId, to, index, bytes: state.byteLength }, 'sending a snapshot')
      replica.step({ type: 'snapshotLoaded', to, snapshot })
    },
    (error: unknown) => {
      const text = 'the snapshot for a follower could not be read'
      logger.warn({ group: groupId, to, error: String(error) }, text)
      replica.step({ type: 'unreachable', to })
    },
  )
}

/**
 * A leader whose disk has a damaged entry that no other replica could be asked for can serve it to no reader and to no
 * follower that lacks it; whoever has all of the log can. Only to one that takes over at once: to wait for another would
 * keep everybody waiting.
 */
export function giveWay(replica: Replica, logger: Logger, error: unknown): void {
  if (!(error instanceof DamagedEntryError) || !replica.isLeader) return
  // Once for each: where others have the same damage, the group's leadership would go round for ever.
  if (replica.gaveWayFor.has(error.index)) return
  const { followers, last, configuration } = replica.status()
  const heir = followers.find(
    ({ id, match, recentlyActive }) =>
      recentlyActive && match === last.index && configuration.voters.includes(id),
  )
  if (heir === undefined) return
  replica.gaveWayFor = new Set([...replica.gaveWayFor, error.index])
  const text = 'an entry is damaged here: another shall lead'
  logger.error({ group: replica.groupId, to: heir.id, error: String(error) }, text)
  replica.step({ type: 'transfer', to: heir.id })
}
