import { groupMethods } from '../../src/wire/index.ts'

/** What a member of a consumer group and its node tell each other on their stream. */

interface Place {
  readonly topic: string
  readonly partition: number
}

const names = (places: readonly Place[]): string =>
  places.length === 0 ? 'nothing' : places.map(({ topic, partition }) => `${topic}/${partition}`).join(', ')

export function askedByMember(bytes: Uint8Array): string {
  const { start, credit, commit, release, heartbeat, subscribe, pause, resume, leave } =
    groupMethods.consume.request.decode(bytes)
  if (start) return `joins group ${start.group}${start.memberId ? ` as ${start.memberId}` : ''}`
  if (commit)
    return `commits ${commit.positions.map((place) => `${names([place])} up to ${place.offset}`).join(', ')}`
  if (release) return `gives back ${names(release.partitions)}`
  if (subscribe) return 'subscribes to other topics'
  if (pause) return `pauses ${names(pause.partitions)}`
  if (resume) return `resumes ${names(resume.partitions)}`
  if (leave) return 'leaves the group'
  if (credit) return `can take ${credit.records} records more`
  return heartbeat ? 'heartbeat of a member' : 'what this version does not know'
}

export function toldToMember(bytes: Uint8Array): string {
  const { joined, assigned, records, committed, revoked, lost, caughtUp, position } =
    groupMethods.consume.response.decode(bytes)
  if (joined) return `is member ${joined.memberId}`
  if (assigned) {
    const places = assigned.partitions.map(
      (place) => `${names([place])} from ${place.startOffset}, epoch ${place.epoch}`,
    )
    return `is given ${places.join('; ')}`
  }
  if (records) {
    const count = records.batches.reduce((sum, { recordCount }) => sum + recordCount, 0)
    return `${count} records of ${names([records])}, next is offset ${records.nextOffset}`
  }
  if (committed) {
    const results = committed.results.map(
      (result) =>
        `${names([result])} ${result.error ? result.error.message : `up to ${result.committedOffset}`}`,
    )
    return `committed ${results.join(', ')}`
  }
  if (revoked) return `has to give back ${names(revoked.partitions)}`
  if (lost) return `lost ${names(lost.partitions)}: ${lost.error?.message ?? ''}`
  if (caughtUp) return `has caught up with ${names([caughtUp])}`
  return position ? `is at ${position.nextOffset} of ${names([position])}` : 'what this version does not know'
}
