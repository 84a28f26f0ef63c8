import { describe, expect, it } from 'vitest'
import { GroupCoordinator } from '../../../src/broker/groups/coordinator.ts'
import { GroupsState } from '../../../src/broker/groups/state.ts'
import type { GroupChangeCommand, Member } from '../../../src/broker/groups/types.ts'
import type { Node } from '../../../src/broker/node.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'
import { quietLogger } from '../support/quiet-logger.ts'

const sessionTimeoutMs = 10_000

/** A coordinator whose changes are only noted. */
class Coordinated {
  readonly clock = new ManualClock()
  readonly groups = new GroupsState()
  readonly commands: GroupChangeCommand[] = []
  readonly #coordinator: GroupCoordinator

  constructor() {
    const node = {
      metadata: { replica: { isDeciding: true, status: () => ({ term: 1 }) } },
      view: { state: { groups: this.groups, nextGroupId: 1, deletedGroupIds: new Set() } },
      changeMetadata: async ({ command }: { readonly command: GroupChangeCommand }) => {
        this.commands.push(command)
      },
    }
    this.#coordinator = new GroupCoordinator(node as unknown as Node, this.clock, quietLogger)
    this.#coordinator.start()
  }

  join(memberId: string, epoch: number): void {
    const member = { memberId, incarnation: epoch, sessionTimeoutMs, revokeTimeoutMs: 1000 } as Member
    this.groups.changed('g', epoch, { joined: [member] })
  }

  hear(memberId: string, incarnation: number): void {
    this.#coordinator.heard({ beats: [{ group: 'g', memberId, incarnation, silentMs: 0 }] })
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 200) {
      this.clock.advance(200)
      await settle()
    }
  }

  /** Whose leases have ended. */
  get expired(): string[] {
    return this.commands.flatMap((command) =>
      command.type === 'expire' ? command.members.map(({ memberId }) => memberId) : [],
    )
  }
}

describe('the coordinator of groups', () => {
  it('ends the lease of a silent member, and of nobody else', async () => {
    const some = new Coordinated()
    some.join('anna', 1)
    some.join('bert', 2)
    await some.pass(6000)
    some.hear('bert', 2)
    await some.pass(3800)
    expect(some.expired).toEqual([])
    await some.pass(800)
    expect(new Set(some.expired)).toEqual(new Set(['anna']))
  })

  it('looks at a group that was changed while nothing was due in it', async () => {
    const some = new Coordinated()
    some.join('anna', 1)
    await some.pass(2000)
    some.join('bert', 2)
    for (let time = 0; time < 20_000; time += 2000) {
      some.hear('anna', 1)
      await some.pass(2000)
    }
    expect(new Set(some.expired)).toEqual(new Set(['bert']))
    const first = some.commands.findIndex(({ type }) => type === 'expire')
    expect(first).toBeGreaterThan(-1)
  })

  it('has a revoked partition released when the time to give it back is over, long before a lease ends', async () => {
    const some = new Coordinated()
    some.join('anna', 1)
    await some.pass(1000)
    const assignment = {
      topic: 't',
      partition: 0,
      owner: 'anna',
      epoch: 2,
      isRevoking: true,
      reset: undefined,
    }
    some.groups.changed('g', 2, { assignments: [assignment] })
    await some.pass(1400)
    expect(some.commands).toContainEqual({
      type: 'release',
      group: 'g',
      partitions: [{ topic: 't', partition: 0, epoch: 2 }],
    })
  })

  it('takes a group that was made anew under its name for another', async () => {
    const some = new Coordinated()
    some.join('anna', 1)
    await some.pass(1000)
    some.groups.deleted('g')
    some.join('anna', 2)
    // Heard under its new incarnation from the next look on.
    await some.pass(200)
    for (let time = 0; time < 20_000; time += 2000) {
      some.hear('anna', 2)
      await some.pass(2000)
    }
    expect(some.expired).toEqual([])
    await some.pass(10_200)
    expect(some.expired).toContain('anna')
  })
})
