import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { connect } from '../../src/client/index.ts'
import { freePorts } from '../../src/testing/index.ts'
import { randomFrom } from '../log/kill-rounds.ts'
import { Traffic, caughtUp } from '../log/traffic.ts'
import { expectKept, readAll } from '../support/ledger.ts'
import { ServerProcesses } from './server-processes.ts'
import { shareOf } from './share.ts'

const kills = shareOf(30)

it(`three server processes, killed ${kills} times at random moments, one or all at a time, keep what they acknowledged`, async () => {
  await using processes = new ServerProcesses(
    await mkdtemp(join(tmpdir(), 'flotilla-slow-')),
    await freePorts(3),
  )
  const { nodeIds } = processes
  for (const nodeId of nodeIds) processes.start(nodeId)
  const client = connect({ bootstrap: processes.addresses, timeoutMs: 60_000 })
  try {
    await client.topics.create('lines', { partitions: 2 })
    const traffic = new Traffic(client, 'lines').start()
    const random = randomFrom(5)
    for (let done = 0; done < kills;) {
      await traffic.more(20 + Math.floor(random() * 100))
      // Every fifth time the power of all goes, so to say.
      const victims = random() < 0.2 ? nodeIds : [nodeIds[Math.floor(random() * nodeIds.length)]!]
      await Promise.all(victims.map((nodeId) => processes.kill(nodeId)))
      for (const nodeId of victims) processes.start(nodeId)
      for (const nodeId of victims) await caughtUp(client, 'lines', nodeId, 2)
      done += victims.length
    }
    await traffic.stop()
    // A producer that is told "appended long before" knows that its record is there, and no longer where.
    const lost = traffic.failures.filter((failure) => !failure.includes('which was appended long before'))
    expect(lost).toEqual([])
    expectKept(traffic.acknowledged, await readAll(client, 'lines'))
    for (const nodeId of nodeIds) {
      const read = await readAll(client, 'lines', nodeId)
      expect(read.length).toBeGreaterThan(0)
    }
    console.log(
      `${kills} kills of server processes, ${traffic.acknowledged.length} records acknowledged, 0 lost`,
    )
  } finally {
    await client.close()
  }
})
