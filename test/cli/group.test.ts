import { describe, expect, it } from 'vitest'
import { runCli } from '../../src/cli/program.ts'
import { FakeCluster, fakeContext, type FakeContext } from './fakes.ts'

async function run(
  commandLine: string,
  { interrupt }: { interrupt?: (context: FakeContext) => boolean } = {},
) {
  const cluster = new FakeCluster()
  const client = cluster.client()
  await client.topics.create('orders', { partitions: 2 })
  const producer = client.producer()
  for (const [partition, value] of [
    [0, 'tea'],
    [1, 'cake'],
    [1, 'coffee'],
  ] as const)
    await producer.send({ topic: 'orders', partition, value })
  cluster.calls.length = 0
  const context = fakeContext({ client })
  const running = runCli(context, commandLine.split(' '))
  if (interrupt !== undefined) {
    while (!interrupt(context)) await new Promise((resolve) => setImmediate(resolve))
    context.interrupt()
  }
  return { exitCode: await running, out: context.stdout.text, err: context.stderr.text, calls: cluster.calls }
}

describe('wrong use of groups', () => {
  it.each([
    ['group describe', "missing required argument 'name'"],
    ['group reset billing --to end', '--topic'],
    ['group reset billing --topic orders', '--to'],
    ['group reset billing --topic orders --to yesterday', 'how long ago'],
    ['group reset billing --topic orders --to end --partition one', 'whole numbers'],
    ['consume orders --group billing --from 5', 'beginning or end'],
    ['consume orders --group billing --until-end', "'--until-end' can't be used with '--group <name>'"],
    ['consume orders --group billing --node n1', "'--node' can't be used with '--group <name>'"],
    ['consume orders --member-id m', "goes with '--group <name>'"],
    ['consume orders --group billing --commit never', 'Allowed choices are auto, manual'],
  ])('%j ends with 2 and says why', async (commandLine, reason) => {
    const { exitCode, out, err } = await run(commandLine)
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' })
    expect(err).toContain(reason)
  })
  it.each(['group describe nope', 'group delete nope', 'group reset nope --topic orders --to end'])(
    '%j names the group that is not there',
    async (commandLine) => {
      const { exitCode, err } = await run(commandLine)
      expect(exitCode).toBe(1)
      expect(err).toContain('there is no group "nope" (UNKNOWN_GROUP)')
    },
  )
})

describe('flotilla group', () => {
  it('lists groups', async () => {
    expect((await run('group list')).out).toBe(
      'GROUP    MEMBERS  TOPICS  ASSIGNMENT\nbilling        1  orders  balanced\n',
    )
    expect(JSON.parse((await run('group list -o json')).out)).toMatchObject([
      { name: 'billing', memberCount: 1 },
    ])
  })
  it('describes members and partitions, and leaves out what an unreachable leader would know', async () => {
    expect((await run('group describe billing')).out).toBe(
      [
        'group billing · 1 member · 2 partitions · lag 1,002 · assignment balanced · coordinated by n1',
        '',
        'MEMBER       FROM           WANTS   OWNS',
        'm1 (static)  10.0.0.1:5000  orders     1',
        '',
        'TOPIC   PARTITION  COMMITTED    END    LAG  LAST COMMIT  STATE        OWNER',
        'orders          0          5  1,007  1,002     0 ms ago  active       m1',
        'orders          1          -      -      -            -  unreachable  -',
        '',
      ].join('\n'),
    )
    const rows = (await run('group describe billing -o ndjson')).out.trim().split('\n')
    expect(rows.map((row) => (JSON.parse(row) as { type: string }).type)).toEqual([
      'group',
      'member',
      'partition',
      'partition',
    ])
    expect(JSON.parse((await run('group describe billing -o json')).out)).toMatchObject({
      coordinator: 'n1',
      partitions: [
        { owner: 'm1', commitTime: '2026-01-01T00:00:00.000Z' },
        { owner: null, committedOffset: null },
      ],
    })
  })
  it('deletes', async () => {
    const { calls, err } = await run('group delete billing')
    expect({ calls, err }).toEqual({ calls: ['delete group billing'], err: 'deleted billing\n' })
  })
  it('resets to a place, and says where a dry run would', async () => {
    const { calls, out, err } = await run(
      'group reset billing --topic orders --to beginning --partition 0,1 --dry-run',
    )
    expect(calls).toEqual([
      'reset group billing {"topic":"orders","to":"beginning","partitions":[0,1],"dryRun":true}',
    ])
    expect(out).toBe(
      'TOPIC   PARTITION  FROM  TO\norders          0     5   0\norders          1     -   0\n',
    )
    expect(err).toContain('dry run')
    const forced = await run('group reset billing --topic orders --to 42 --force -o ndjson')
    expect(forced.calls).toEqual(['reset group billing {"topic":"orders","to":{"offset":42},"force":true}'])
    expect(forced.out.split('\n')[0]).toBe('{"topic":"orders","partition":0,"toOffset":0,"fromOffset":5}')
  })
})

describe('flotilla consume --group', () => {
  it('prints what the member is given until Ctrl-C, and says what it is given', async () => {
    const { exitCode, out, err, calls } = await run(
      'consume orders --group billing --member-id m -o ndjson',
      {
        interrupt: ({ stdout }) => stdout.lines.length >= 3,
      },
    )
    expect(exitCode).toBe(0)
    expect(out.trim().split('\n')).toHaveLength(3)
    expect(err).toBe('assigned: orders/0\n')
    expect(calls).toEqual([
      'consume {"group":"billing","topics":["orders"],"from":"beginning","commit":"auto","memberId":"m"}',
      'close consumer',
    ])
  })
  it('stops after so many records, and commits up to the last of them', async () => {
    const { exitCode, out, calls } = await run('consume orders --group billing --max 2 -o ndjson')
    expect(exitCode).toBe(0)
    expect(out.trim().split('\n')).toHaveLength(2)
    expect(calls.slice(1)).toEqual(['commit [{"topic":"orders","partition":1,"offset":1}]', 'close consumer'])
  })
  it('commits nothing where that is left to others', async () => {
    const { calls } = await run(
      'consume orders --group billing --max 1 --partition 0 --commit manual --from end',
    )
    expect(calls).toEqual([
      'consume {"group":"billing","partitions":[{"topic":"orders","partition":0}],"from":"end","commit":"manual"}',
      'close consumer',
    ])
  })
})
