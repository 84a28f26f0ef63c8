import { constants } from 'node:fs'
import { copyFile, mkdtemp, open, readFile, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Disk, Files, Store } from '../disk.ts'
import { StoreDamagedError, StoreLockedError } from '../disk.ts'
import { NodeFile, nodeFiles } from './disk.ts'
import { findLevelDamage } from './level-files.ts'
import { openLevelStore } from './store.ts'

/**
 * A disk that changes nothing in the folders that it is shown. LevelDB writes into its folder whenever it is opened, so a
 * store is opened from a copy of its files in a new directory under `temporaryDirectory` (which shares their blocks where
 * the file system can do that), gone when the store is closed.
 */
export function readOnlyDisk(temporaryDirectory: string): Disk {
  return {
    async openStore(directory) {
      await refuseRunning(directory)
      const damage = await findLevelDamage(directory)
      if (damage !== undefined) throw new StoreDamagedError(directory, damage)
      const copy = await mkdtemp(join(temporaryDirectory, 'flotilla-inspect-'))
      try {
        await copyStore(directory, copy)
        return closingWith(await openLevelStore(copy), () => rm(copy, { recursive: true, force: true }))
      } catch (error) {
        await rm(copy, { recursive: true, force: true })
        throw error
      }
    },
    files: readOnlyFiles,
  }
}

/** All but LevelDB's lock and its notes for people. */
async function copyStore(directory: string, copy: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!/^(?:CURRENT|MANIFEST-\d+|\d+\.(?:log|ldb|sst))$/.test(name)) continue
    await copyFile(join(directory, name), join(copy, name), constants.COPYFILE_FICLONE)
  }
}

/** On Linux the system tells who has locked a file; elsewhere it is left to people to stop the node first. */
async function refuseRunning(directory: string): Promise<void> {
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '')
  const lock = await stat(join(directory, 'LOCK')).catch(() => undefined)
  if (lock === undefined) return
  const held = locks.split('\n').some((line) => line.includes('WRITE') && line.includes(`:${lock.ino} `))
  if (held) throw new StoreLockedError(directory)
}

function closingWith(store: Store, after: () => Promise<void>): Store {
  return {
    get: (key) => store.get(key),
    iterate: (range) => store.iterate(range),
    batch: () => refuse('a batch'),
    clear: () => refuse('a deletion'),
    compact: () => refuse('a compaction'),
    async close() {
      await store.close()
      await after()
    },
  }
}

const readOnlyFiles: Files = {
  list: (path) => nodeFiles.list(path),
  open: async (path) => new NodeFile(await open(path, constants.O_RDONLY)),
  makeDirectory: refuse,
  remove: refuse,
  removeDirectory: refuse,
  rename: refuse,
  syncDirectory: refuse,
}

function refuse(what: string): Promise<never> {
  return Promise.reject(new Error(`${what}: this disk is only read`))
}
