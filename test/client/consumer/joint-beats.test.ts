import { describe, expect, it } from 'vitest'
import { JointBeats, type Beating } from '../../../src/client/consumer/joint-beats.ts'
import { Lease } from '../../../src/client/consumer/lease.ts'
import type { Connections } from '../../../src/client/connections.ts'
import type { HeartbeatRequest } from '../../../src/wire/index.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'

const sessionMs = 9000
const beatMs = sessionMs / 3

/** Nodes that note what they are asked, and answer at once unless they refuse. */
class Nodes {
  readonly asked: { readonly address: string; readonly members: string[] }[] = []
  refuse = false
  /** A member that the node says it doesn't have. */
  notHere = ''

  readonly connections = {
    to: (address: string) => ({
      unary: async (_method: unknown, { members }: HeartbeatRequest) => {
        this.asked.push({ address, members: members.map(({ memberId }) => memberId) })
        if (this.refuse) throw new Error('unimplemented')
        return { notHere: members.filter(({ memberId }) => memberId === this.notHere) }
      },
    }),
  } as unknown as Connections
}

/** The lease of a member with a stream to a node, as its consumer keeps it. */
class Member implements Beating {
  readonly lease = new Lease()
  /** On its own stream. */
  alone = 0
  readonly leave: () => void
  readonly #world: World
  readonly #address: string

  constructor(world: World, memberId: string, address: string) {
    this.#world = world
    this.#address = address
    this.heartbeat = { group: 'g', memberId, incarnation: 1 }
    this.lease.begin(world.clock.nowMs(), sessionMs)
    this.leave = world.beats.enter(address, this)
  }

  readonly heartbeat: Beating['heartbeat']
  beatsEarly(nowMs: number): boolean {
    return this.lease.beatsEarly(nowMs)
  }
  answered(): void {
    this.lease.heard()
  }
  beatAlone(): void {
    this.alone += 1
  }

  tick(): string {
    const due = this.lease.tick(this.#world.clock.nowMs())
    if (due === 'ask' && !this.#world.beats.beat(this.#address, this)) this.alone += 1
    return due
  }
}

class World {
  readonly clock = new ManualClock()
  readonly nodes = new Nodes()
  readonly beats = new JointBeats(this.nodes.connections, this.clock)
  readonly members: Member[] = []

  member(memberId: string, address = 'n1:1'): Member {
    const made = new Member(this, memberId, address)
    this.members.push(made)
    return made
  }

  /** Time goes on by so much, and each member looks whether something is due. */
  async pass(ms: number): Promise<string[]> {
    this.clock.advance(ms)
    const due = this.members.map((each) => each.tick())
    await settle()
    return due
  }
}

describe("the heartbeats of a client's members", () => {
  it('go to each node in one call, also where they were not due at the same time', async () => {
    const world = new World()
    world.member('anna')
    await world.pass(beatMs / 3)
    world.member('bert')
    world.member('carl', 'n2:1')
    world.member('dora', 'n2:1')
    for (let time = 0; time < 10 * beatMs; time += 100) await world.pass(100)
    expect(world.members.map(({ alone }) => alone)).toEqual([0, 0, 0, 0])
    const at = (wanted: string): string[] =>
      world.nodes.asked
        .filter(({ address }) => address === wanted)
        .map(({ members }) => members.toSorted().join())
    expect(new Set(at('n1:1'))).toEqual(new Set(['anna,bert']))
    expect(new Set(at('n2:1'))).toEqual(new Set(['carl,dora']))
    expect(at('n1:1').length).toBeLessThanOrEqual(11)
  })

  it('of a member that is alone at its node goes on its own stream', async () => {
    const world = new World()
    const anna = world.member('anna')
    const bert = world.member('bert')
    world.member('carl', 'n2:1')
    bert.leave()
    await world.pass(beatMs)
    expect(world.nodes.asked).toEqual([])
    expect(anna.alone).toBe(1)
  })

  it('each go on their own streams where the node does not take them together', async () => {
    const world = new World()
    const [anna, bert, carl] = [world.member('anna'), world.member('bert'), world.member('carl')]
    world.nodes.refuse = true
    const passing = world.pass(beatMs)
    // Its stream ended while the call was under way.
    carl.leave()
    await passing
    expect([anna.alone, bert.alone, carl.alone]).toEqual([1, 1, 0])
  })

  it('of one that the node does not have go on its own stream, where no answer will come', async () => {
    const world = new World()
    const [anna, bert] = [world.member('anna'), world.member('bert')]
    world.nodes.notHere = 'bert'
    await world.pass(beatMs)
    expect([anna.alone, bert.alone]).toEqual([0, 1])
  })

  it('that have no answer show each that its node is silent', async () => {
    const world = new World()
    const members = [world.member('anna'), world.member('bert')]
    world.nodes.refuse = true
    await world.pass(beatMs)
    await world.pass(beatMs)
    expect(await world.pass(beatMs)).toContain('silent')
    expect(members).toHaveLength(2)
  })
})
