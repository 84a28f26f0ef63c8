import { cp, mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runCli } from '../../src/cli/program.ts'
import { fillFolder } from '../log/stopped-folder.ts'
import { openLog, testEnv } from '../log/storage-env.ts'
import { fakeContext } from './fakes.ts'

async function run(...args: string[]) {
  const context = fakeContext()
  const exitCode = await runCli(context, ['log', 'inspect', ...args])
  return { exitCode, out: context.stdout.text, err: context.stderr.text }
}

describe('flotilla log inspect', () => {
  let directory: string
  let whole: string
  let folder: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'flotilla-cli-log-'))
    whole = join(directory, 'whole')
    await fillFolder((limits) => openLog(testEnv(), whole, limits))
  })
  beforeEach(async () => {
    folder = await mkdtemp(join(directory, 'copy-'))
    await cp(whole, folder, { recursive: true })
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  it('of no folder of a node, or of one that runs, ends with 2', async () => {
    const nowhere = await run(join(directory, 'nowhere'))
    expect(nowhere.exitCode).toBe(2)
    expect(nowhere.err).toContain('it is no data folder of a Flotilla node')
    const log = await openLog(testEnv(), folder)
    const running = await run(folder)
    expect(running.exitCode).toBe(2)
    expect(running.err).toContain('is in use: a node runs on it; stop that first')
    await log.close()
    const unknown = await run(folder, '--group', '99')
    expect(unknown.exitCode).toBe(2)
    expect(unknown.err).toContain('the folder has no group 99; it has 3, 4, 5 and 6')
    expect((await run(folder, '--group', 'three')).exitCode).toBe(2)
  })

  it('of a damaged payload names group, entry and segment, and ends with 1', async () => {
    const path = join(folder, 'segments/4/0000000001.seg')
    const bytes = await readFile(path)
    bytes[3]! ^= 1
    await writeFile(path, bytes)
    const { exitCode, out, err } = await run(folder)
    expect(exitCode).toBe(1)
    expect(out).toMatch(/group 4: entry 2 in segment 1 at 0: a payload has CRC-32 /)
    expect(out).toMatch(/^ +3 .* sound$/m)
    expect(out).toMatch(/^ +4 .* damaged$/m)
    expect(err).toMatch('the folder is damaged: group 4 (')
  })

  it('of a cut shared segment names every group that has something behind the cut', async () => {
    await truncate(join(folder, 'segments/shared/0000000001.seg'), 100)
    const { exitCode, out } = await run(folder)
    expect(exitCode).toBe(1)
    for (const groupId of [4, 5, 6])
      expect(out).toMatch(new RegExp(`group ${groupId}: entry \\d+ in shared segment 1 at \\d+: `))
  })

  it('of a cut segment, a lost turn and a damaged table ends with 1 as well', async () => {
    await truncate(join(folder, 'segments/5/0000000001.seg'), 100)
    const cut = await run(folder, '-o', 'json')
    expect(cut.exitCode).toBe(1)
    expect(cut.out).toMatch(/segment 1 has 100 bytes of \d+/)
    const log = (await readdir(join(folder, 'store'))).find((name) => name.endsWith('.log'))!
    await truncate(join(folder, 'store', log), 0)
    const lost = await run(folder)
    expect(lost.exitCode).toBe(1)
    expect(lost.err).toMatch(/the store's newest turn is \d+, but turn \d+ was durable/)
    const table = (await readdir(join(folder, 'store'))).find((name) => name.endsWith('.ldb'))!
    await truncate(join(folder, 'store', table), 70)
    const damaged = await run(folder)
    expect(damaged.exitCode).toBe(1)
    expect(damaged.err).toMatch(/the LevelDB store in .* is damaged: \d+\.ldb has 70 bytes of/)
  })

  it('of a whole folder prints what is in it, ends with 0, and changes nothing', async () => {
    const before = await fingerprint(folder)
    const { exitCode, out, err } = await run(folder)
    expect(exitCode).toBe(0)
    expect(out.split('\n')[0]).toBe(`${folder}: node n1 of cluster test (0badcafe), format 2, turn 37`)
    expect(out).toMatch(/^SHARED SEGMENT +FILE +NAMED BY ENTRIES\n +1 +[\d.]+ KiB/m)
    expect(out).toMatch(/^ +3 +5 +\d+ +54 +52 +47 .* n3 +sound$/m)
    expect(err).toMatch(/^all is sound: 4 groups, \d+ entries and .* of payload verified\n$/)
    expect(await fingerprint(folder)).toEqual(before)
  })

  it('prints the same as JSON, a group alone, and entries as lines', async () => {
    const json = JSON.parse((await run(folder, '-o', 'json', '--group', '3')).out) as {
      nodeId: string
      groups: { groupId: number; last: { index: number; digest: string }; segments: unknown[] }[]
    }
    expect(json.nodeId).toBe('n1')
    expect(json.groups.map(({ groupId }) => groupId)).toEqual([3])
    const lines = (await run(folder, '-o', 'ndjson', '--group', '3', '--entries')).out.trimEnd().split('\n')
    const last = JSON.parse(lines.at(-1)!) as { index: number; digest: string }
    expect(last).toMatchObject(json.groups[0]!.last)
    const table = await run(folder, '--group', '3', '--entries')
    expect(table.out).toMatch(/ segment 4 at 0 /)
    expect(table.out).toMatch(/ shared segment 2 at 0 /)
    expect(table.out).toContain('NAMED BY ENTRIES')
    const groups = (await run(folder, '-o', 'ndjson')).out.trimEnd().split('\n')
    expect(groups).toHaveLength(4)
  })

  async function fingerprint(path: string): Promise<string[]> {
    const names = await readdir(path, { recursive: true })
    const lines: string[] = []
    for (const name of names.toSorted()) {
      const { size, mtimeMs, ctimeMs, nlink } = await stat(join(path, name))
      lines.push(`${name} ${size} ${mtimeMs} ${ctimeMs} ${nlink}`)
    }
    return lines
  }
})
