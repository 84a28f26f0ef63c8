import type { Files, Store } from '../env/index.ts'
import { assert } from './assert.ts'
import { FolderMismatchError, MalformedBytesError } from './errors.ts'
import { clusterIdKey, identityKey } from './keys.ts'
import { decodeIdentity, decodeText, encodeIdentity, encodeText } from './records.ts'
import type { FolderIdentity } from './types.ts'

/** Raised with every change that an older build can't read (docs/storage-format.md). */
export const formatVersion = 2
const readableVersions = '1 and 2'

export const storeName = 'store'
export const segmentsName = 'segments'

/** Names that a fresh volume or an operating system puts into a folder by itself. */
const foreignNames = /^(?:\..*|lost\+found)$/

/**
 * Refuses a folder that holds something, but not a store. Call before the store is opened, for that creates it. True: it has a
 * store; else it is new.
 */
export async function checkFolder(files: Files, directory: string): Promise<boolean> {
  assert(directory !== '', 'log.folder-path', () => 'a data folder without a name')
  const names = await files.list(directory)
  if (names.includes(storeName)) return true
  const other = names.filter((name) => !foreignNames.test(name))
  if (other.length === 0) return false
  throw new FolderMismatchError(
    directory,
    `holds ${other.slice(0, 3).join(', ')}${other.length > 3 ? ', …' : ''} and no Flotilla store; ` +
      'a data folder must be empty or be one of this node: choose another folder with --data',
  )
}

/** Takes an empty folder, or makes sure that it is this node's. `durableTurn`: what the folder says it once had. */
export async function claimFolder(
  store: Store,
  directory: string,
  identity: FolderIdentity,
  durableTurn: number,
): Promise<void> {
  assert(identity.clusterName !== '' && identity.nodeId !== '', 'log.identity', () => directory)
  assert(Number.isSafeInteger(durableTurn) && durableTurn >= 0, 'log.claimed-turn', () => `${durableTurn}`)
  const found = await store.get(identityKey)
  if (found === undefined) {
    // An empty store in a folder that was used has lost everything, and with it what this node voted for.
    if (durableTurn > 0) {
      throw new FolderMismatchError(
        directory,
        `once had ${durableTurn} turns, and its LevelDB store is empty; put the store back, or move the folder away and ` +
          'let the node come back from the others',
      )
    }
    // The identity is the first thing that is ever written, so anything else without it isn't ours.
    for await (const _pair of store.iterate({ gte: new Uint8Array(0), lt: Uint8Array.of(0xff), limit: 1 })) {
      throw new FolderMismatchError(
        directory,
        "holds a LevelDB store that doesn't say whose it is; a data folder must be empty or be one of this node: " +
          'choose another folder with --data',
      )
    }
    await writeIdentity(store, identity)
    return
  }
  const { formatVersion: version, identity: owner } = readIdentity(directory, found)
  checkIdentity(directory, identity, owner)
  // From here on an older build must leave the folder alone.
  if (version < formatVersion) await writeIdentity(store, owner)
}

async function writeIdentity(store: Store, identity: FolderIdentity): Promise<void> {
  const value = encodeIdentity(identity, formatVersion, identityKey)
  assert(value.length > 0 && identity.nodeId !== '', 'log.identity-written', () => identity.clusterName)
  await store.batch([{ type: 'put', key: identityKey, value }], { sync: true })
}

/** Whose folder it is, and of which format. Throws FolderMismatchError where it doesn't say, or says it in a newer format. */
export function readIdentity(
  directory: string,
  found: Uint8Array,
): { readonly formatVersion: number; readonly identity: FolderIdentity } {
  let decoded: ReturnType<typeof decodeIdentity>
  try {
    decoded = decodeIdentity(found, identityKey, formatVersion)
  } catch (error) {
    if (!(error instanceof MalformedBytesError)) throw error
    throw new FolderMismatchError(
      directory,
      `doesn't say whose it is: ${error.message}; move it away and let the node come back from the others`,
    )
  }
  const { identity } = decoded
  if (identity === undefined) {
    throw new FolderMismatchError(
      directory,
      `has storage format ${decoded.formatVersion}, and this build reads ${readableVersions}; a build never reads a newer ` +
        'format: run the newer build, or choose another folder with --data',
    )
  }
  assert(decoded.formatVersion <= formatVersion, 'log.identity-version', () => `${decoded.formatVersion}`)
  return { formatVersion: decoded.formatVersion, identity }
}

function checkIdentity(directory: string, wanted: FolderIdentity, found: FolderIdentity): void {
  if (found.clusterName !== wanted.clusterName) {
    throw new FolderMismatchError(
      directory,
      `belongs to cluster ${JSON.stringify(found.clusterName)}, and this node is of cluster ` +
        `${JSON.stringify(wanted.clusterName)}; a folder never changes its cluster: choose another folder with --data`,
    )
  }
  if (found.nodeId !== wanted.nodeId) {
    throw new FolderMismatchError(
      directory,
      `belongs to node ${JSON.stringify(found.nodeId)}, and this is node ${JSON.stringify(wanted.nodeId)}; two nodes ` +
        'never share a folder: choose another with --data, or start the node with the id that the folder has',
    )
  }
}

export async function readClusterId(store: Store): Promise<string | undefined> {
  const value = await store.get(clusterIdKey)
  return value === undefined ? undefined : decodeText(value, clusterIdKey)
}

export async function writeClusterId(store: Store, clusterId: string): Promise<void> {
  await store.batch([{ type: 'put', key: clusterIdKey, value: encodeText(clusterId, clusterIdKey) }], {
    sync: true,
  })
}
