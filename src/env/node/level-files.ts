import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32c } from './crc32c.ts'

/**
 * LevelDB checks the checksums of its tables only where an option asks for it that `level` doesn't pass on. A flipped bit
 * in a table may then hide a key, and an older value of it, or none, stands in its place: no checksum in a value can
 * notice that. So all tables are checked before a store is opened. Formats: LevelDB's doc/log_format.md, doc/table_format.md
 * and db/version_edit.cc (1.20).
 */

interface Table {
  readonly name: string
  readonly sizeBytes: number
  /** With the 8 bytes of sequence and type that LevelDB appends. */
  readonly smallestKey: Uint8Array
}

/** What is wrong with LevelDB's files in a directory; undefined where nothing is, or where there is no store yet. */
export async function findLevelDamage(directory: string): Promise<string | undefined> {
  const names = await namesIn(directory)
  if (!names.has('CURRENT')) {
    // A store that is just being created has one manifest and nothing else.
    const left = [...names].filter((name) => /^\d+\.(log|ldb|sst)$|^MANIFEST-(?!0*1$)/.test(name))
    return left.length === 0
      ? undefined
      : `CURRENT is missing, and there are ${left.slice(0, 3).join(', ')}${left.length > 3 ? ', …' : ''}`
  }
  try {
    const manifest = (await readFile(join(directory, 'CURRENT'), 'latin1')).trimEnd()
    if (!/^MANIFEST-\d+$/.test(manifest)) return `CURRENT names ${JSON.stringify(manifest.slice(0, 40))}`
    if (!names.has(manifest)) return `CURRENT names ${manifest}, which isn't there`
    for (const table of liveTables(await readFile(join(directory, manifest)), manifest, names)) {
      if (!names.has(table.name)) return `${table.name} isn't there`
      verifyTable(await readFile(join(directory, table.name)), table)
    }
  } catch (error) {
    if (error instanceof LevelFileError) return error.message
    throw error
  }
  return undefined
}

class LevelFileError extends Error {
  override readonly name = 'LevelFileError'
}

async function namesIn(directory: string): Promise<Set<string>> {
  try {
    return new Set(await readdir(directory))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return new Set()
    throw error
  }
}

// -- the manifest ------------------------------------------------------------------------------------------------------

const editTag = {
  comparator: 1,
  logNumber: 2,
  nextFile: 3,
  lastSequence: 4,
  compactPointer: 5,
  deletedFile: 6,
  newFile: 7,
  previousLog: 9,
} as const

/** The tables that the newest version of the store consists of. */
function liveTables(manifest: Buffer, file: string, names: ReadonlySet<string>): Iterable<Table> {
  const tables = new Map<number, Table>()
  for (const record of logRecords(manifest, file)) applyEdit(new Cursor(record, file), tables, names)
  return tables.values()
}

function applyEdit(edit: Cursor, tables: Map<number, Table>, names: ReadonlySet<string>): void {
  while (!edit.atEnd) {
    const tag = edit.varint()
    switch (tag) {
      case editTag.comparator:
        edit.block()
        break
      case editTag.logNumber:
      case editTag.nextFile:
      case editTag.lastSequence:
      case editTag.previousLog:
        edit.varint()
        break
      case editTag.compactPointer:
        edit.varint()
        edit.block()
        break
      case editTag.deletedFile:
        edit.varint()
        tables.delete(edit.varint())
        break
      case editTag.newFile: {
        edit.varint()
        const number = edit.varint()
        const sizeBytes = edit.varint()
        const smallestKey = edit.block()
        edit.block()
        tables.set(number, { name: tableName(number, names), sizeBytes, smallestKey })
        break
      }
      default:
        throw edit.fault(`an edit with the unknown tag ${tag}`)
    }
  }
}

/** Old versions of LevelDB ended the names of tables with .sst. */
function tableName(number: number, names: ReadonlySet<string>): string {
  const stem = String(number).padStart(6, '0')
  return names.has(`${stem}.sst`) ? `${stem}.sst` : `${stem}.ldb`
}

// -- the log format, which manifests have too ----------------------------------------------------------------------------

const logBlockBytes = 32 * 1024
const logHeaderBytes = 7
const fragment = { full: 1, first: 2, middle: 3, last: 4 } as const

/** Records of a log. Its end may be torn: a process that ended while it wrote the last record. */
function* logRecords(bytes: Buffer, file: string): Iterable<Buffer> {
  let parts: Buffer[] = []
  let at = 0
  for (;;) {
    const leftInBlock = logBlockBytes - (at % logBlockBytes)
    if (leftInBlock < logHeaderBytes) {
      at += leftInBlock
      continue
    }
    if (at + logHeaderBytes > bytes.length) return
    const length = bytes.readUInt16LE(at + 4)
    const type = bytes[at + 6]!
    const end = at + logHeaderBytes + length
    if (end > bytes.length) return
    const fits = length <= leftInBlock - logHeaderBytes
    if (!fits || unmask(bytes.readUInt32LE(at)) !== crc32c(bytes, at + 6, end)) {
      throw new LevelFileError(`${file}: the record at ${at} has a wrong checksum`)
    }
    const continues = type === fragment.middle || type === fragment.last
    if (continues !== parts.length > 0 || type < fragment.full || type > fragment.last) {
      throw new LevelFileError(`${file}: the record at ${at} doesn't follow its predecessor`)
    }
    parts.push(bytes.subarray(at + logHeaderBytes, end))
    if (type === fragment.full || type === fragment.last) {
      yield Buffer.concat(parts)
      parts = []
    }
    at = end
  }
}

// -- tables ------------------------------------------------------------------------------------------------------------

const footerBytes = 48
const magic = 0xdb4775248b80fb57n
const trailerBytes = 5

interface BlockHandle {
  readonly offset: number
  readonly length: number
}

/** Every block of a table, and that it is the table which the manifest means. */
function verifyTable(bytes: Buffer, table: Table): void {
  const { name } = table
  if (bytes.length !== table.sizeBytes) {
    throw new LevelFileError(`${name} has ${bytes.length} bytes of ${table.sizeBytes}`)
  }
  const footerAt = bytes.length - footerBytes
  if (footerAt < 0 || bytes.readBigUInt64LE(bytes.length - 8) !== magic) {
    throw new LevelFileError(`${name}: its end isn't that of a table`)
  }
  const footer = new Cursor(bytes.subarray(footerAt), name)
  const metaIndex = handleFrom(footer)
  const index = handleFrom(footer)
  for (const byte of bytes.subarray(footerAt + footer.at, bytes.length - 8)) {
    if (byte !== 0) throw new LevelFileError(`${name}: its end isn't that of a table`)
  }
  for (const { value } of entriesOf(blockAt(bytes, metaIndex, name), name)) {
    blockAt(bytes, handleFrom(new Cursor(value, name)), name)
  }
  let first = true
  for (const { value } of entriesOf(blockAt(bytes, index, name), name)) {
    const block = blockAt(bytes, handleFrom(new Cursor(value, name)), name)
    if (!first) continue
    first = false
    // Another table, whole in itself, under this name.
    const [entry] = entriesOf(block, name)
    if (entry === undefined || !entry.key.equals(table.smallestKey)) {
      throw new LevelFileError(`${name} is another table than the store's`)
    }
  }
}

function handleFrom(cursor: Cursor): BlockHandle {
  return { offset: cursor.varint(), length: cursor.varint() }
}

function blockAt(bytes: Buffer, { offset, length }: BlockHandle, file: string): Buffer {
  const end = offset + length
  if (end + trailerBytes > bytes.length) {
    throw new LevelFileError(`${file}: the block at ${offset} ends behind the file`)
  }
  if (unmask(bytes.readUInt32LE(end + 1)) !== crc32c(bytes, offset, end + 1)) {
    throw new LevelFileError(`${file}: the block at ${offset} has a wrong checksum`)
  }
  return bytes.subarray(offset, end)
}

/** The entries of an uncompressed block, with keys put together. */
function* entriesOf(block: Buffer, file: string): Iterable<{ readonly key: Buffer; readonly value: Buffer }> {
  const restarts = block.readUInt32LE(block.length - 4)
  const cursor = new Cursor(block.subarray(0, Math.max(0, block.length - 4 - 4 * restarts)), file)
  let key = Buffer.alloc(0)
  while (!cursor.atEnd) {
    const shared = cursor.varint()
    const own = cursor.varint()
    const valueBytes = cursor.varint()
    key = Buffer.concat([key.subarray(0, shared), cursor.take(own)])
    yield { key, value: cursor.take(valueBytes) }
  }
}

/** LevelDB stores checksums masked, for files whose content are checksums. */
function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}

/** Reads LevelDB's variable-length numbers and length-prefixed bytes. */
class Cursor {
  at = 0
  readonly #bytes: Buffer
  readonly #file: string

  constructor(bytes: Buffer, file: string) {
    this.#bytes = bytes
    this.#file = file
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length
  }

  varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.at++]
      if (byte === undefined) throw this.fault('a number that is cut short')
      value += (byte & 0x7f) * factor
      if (byte < 0x80) break
    }
    if (!Number.isSafeInteger(value)) throw this.fault('a number above 2^53')
    return value
  }

  block(): Buffer {
    return this.take(this.varint())
  }

  take(count: number): Buffer {
    const from = this.at
    this.at += count
    if (this.at > this.#bytes.length) throw this.fault('a field that is cut short')
    return this.#bytes.subarray(from, this.at)
  }

  fault(what: string): LevelFileError {
    return new LevelFileError(`${this.#file} has ${what}`)
  }
}
