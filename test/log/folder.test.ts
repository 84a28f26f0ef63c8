import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StoreLockedError } from '../../src/env/index.ts'
import { FolderMismatchError, openLogStorage } from '../../src/log/index.ts'
import { identityKey } from '../../src/log/keys.ts'
import { encodeIdentity } from '../../src/log/records.ts'
import { identity, openLog, smallLimits, temporaryFolder, testEnv } from './storage-env.ts'

async function messageOf(opening: Promise<unknown>): Promise<string> {
  try {
    await opening
  } catch (error) {
    expect(error).toBeInstanceOf(FolderMismatchError)
    return (error as Error).message
  }
  throw new Error('the folder was taken')
}

describe('a data folder', () => {
  it('of another node is refused, with both names and the way out', async () => {
    const folder = await temporaryFolder()
    await (await openLog(testEnv(), folder)).close()
    const message = await messageOf(openLogStorage(testEnv(), folder, { ...identity, nodeId: 'n2' }))
    expect(message).toMatch(
      /belongs to node "n1", and this is node "n2"; two nodes never share a folder: .*--data/,
    )
    expect(message).toContain(folder)
  })

  it('of another cluster is refused, with both names and the way out', async () => {
    const folder = await temporaryFolder()
    await (await openLog(testEnv(), folder)).close()
    const message = await messageOf(openLogStorage(testEnv(), folder, { ...identity, clusterName: 'prod' }))
    expect(message).toMatch(/belongs to cluster "test", and this node is of cluster "prod"; .*--data/)
  })

  it('of a newer format is refused, with both versions and the way out', async () => {
    const folder = await temporaryFolder()
    const env = testEnv()
    const store = await env.disk.openStore(join(folder, 'store'))
    const value = encodeIdentity(identity, 3, identityKey)
    await store.batch([{ type: 'put', key: identityKey, value }], { sync: true })
    await store.close()
    const message = await messageOf(openLogStorage(env, folder, identity))
    expect(message).toMatch(/has storage format 3, and this build reads 1 and 2; .* run the newer build/)
  })

  it('that is something else is refused and left as it is', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'thesis.doc'), 'mine')
    const message = await messageOf(openLogStorage(testEnv(), folder, identity))
    expect(message).toMatch(
      /holds thesis.doc and no Flotilla store; a data folder must be empty or be one of this node/,
    )
    expect(await testEnv().disk.files.list(folder)).toEqual(['thesis.doc'])
  })

  it('with a LevelDB of somebody else is refused', async () => {
    const folder = await temporaryFolder()
    const env = testEnv()
    const store = await env.disk.openStore(join(folder, 'store'))
    await store.batch([{ type: 'put', key: Uint8Array.of(0x61), value: Uint8Array.of(1) }], { sync: true })
    await store.close()
    expect(await messageOf(openLogStorage(env, folder, identity))).toMatch("doesn't say whose it is")
  })

  it('whose identity is damaged is refused', async () => {
    const folder = await temporaryFolder()
    const env = testEnv()
    await (await openLog(env, folder)).close()
    const store = await env.disk.openStore(join(folder, 'store'))
    const value = (await store.get(identityKey))!.map((byte, i) => (i === 9 ? byte ^ 1 : byte))
    await store.batch([{ type: 'put', key: identityKey, value }], { sync: true })
    await store.close()
    expect(await messageOf(openLogStorage(env, folder, identity))).toMatch('a record has a wrong checksum')
  })

  it('that another process has open is refused', async () => {
    const folder = await temporaryFolder()
    await openLog(testEnv(), folder)
    await expect(openLogStorage(testEnv(), folder, identity)).rejects.toThrow(StoreLockedError)
  })

  it('that is a fresh volume, or was prepared and never used, is taken', async () => {
    const folder = await temporaryFolder()
    const { files } = testEnv().disk
    for (const name of ['lost+found', '.snapshots', 'store']) await files.makeDirectory(join(folder, name))
    expect((await openLog(testEnv(), folder)).recovered.size).toBe(0)
  })

  it('can be opened again after each refusal, for nothing is held', async () => {
    const folder = await temporaryFolder()
    await (await openLog(testEnv(), folder)).close()
    await messageOf(openLogStorage(testEnv(), folder, { ...identity, nodeId: 'n2' }))
    await openLog(testEnv(), folder)
  })
})

describe('limits', () => {
  it('that make no sense are refused by name', async () => {
    const folder = await temporaryFolder()
    const opening = openLogStorage(testEnv(), folder, identity, { ...smallLimits, segmentBytes: 0 })
    await expect(opening).rejects.toThrow('segmentBytes is 0; it must be a whole number, 1 or more')
  })
})
