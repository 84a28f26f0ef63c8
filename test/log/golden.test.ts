import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openLogStorage } from '../../src/log/index.ts'
import { formatVersion } from '../../src/log/folder.ts'
import { identityKey } from '../../src/log/keys.ts'
import { encodeIdentity } from '../../src/log/records.ts'
import { asOffset } from '../../src/log/index.ts'
import { entryAfter, flat } from './entries.ts'
import { goldenDirectory, readGolden } from './golden-folder.ts'
import { checkGroup } from './stopped-folder.ts'
import { allEntries, identity, openLog, temporaryFolder, testEnv } from './storage-env.ts'

async function copyOf(version: number): Promise<string> {
  const folder = await temporaryFolder()
  await cp(join(goldenDirectory, `v${version}`), folder, { recursive: true })
  return folder
}

const versions = Array.from({ length: formatVersion }, (_, i) => i + 1)

it.each(versions)('a folder of format %i is read entry by entry, and can be written on', async (version) => {
  const folder = await copyOf(version)
  const groups = await readGolden(version)
  expect(groups).toHaveLength(4)
  const log = await openLog(testEnv(), folder)
  expect(log.clusterId).toBe('0badcafe')
  for (const group of groups) {
    expect(await checkGroup(log, group)).toBe('whole')
    const signpost = group.applied - (group.applied % 2)
    expect((await log.findByOffset(group.groupId, asOffset(1_000_000)))?.index).toBe(signpost)
    expect((await log.findByTime(group.groupId, 1_000_000))?.index).toBe(signpost)
  }
  const { groupId, last, entries } = groups[0]!
  const next = entryAfter(last, { payload: [new Uint8Array(100)] })
  await log.commit([{ groupId, entries: [next] }])
  await log.close()
  const again = await openLog(testEnv(), folder)
  expect((await allEntries(again, groupId, entries[0]!.index)).map(flat)).toEqual(
    [...entries, next].map(flat),
  )
})

it('a folder of a newer format is refused by name, and not one byte of its records is changed', async () => {
  const folder = await copyOf(formatVersion)
  const store = await testEnv().disk.openStore(join(folder, 'store'))
  const value = encodeIdentity(identity, formatVersion + 1, identityKey)
  await store.batch([{ type: 'put', key: identityKey, value }], { sync: true })
  await store.close()
  const segments = await contentOf(join(folder, 'segments'))
  const opening = openLogStorage(testEnv(), folder, identity)
  await expect(opening).rejects.toThrow(
    `has storage format ${formatVersion + 1}, and this build reads 1 and 2; a build never reads a newer format`,
  )
  expect(await contentOf(join(folder, 'segments'))).toEqual(segments)
})

async function contentOf(directory: string): Promise<string[]> {
  const files = await readdir(directory, { recursive: true, withFileTypes: true })
  const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name))
  return Promise.all(
    paths.toSorted().map(async (path) => `${path} ${(await readFile(path)).toString('hex')}`),
  )
}
