import { assert } from '../assert.ts'
import type { GroupMark } from '../groups/types.ts'
import { readUint64, writeUint64 } from './uint64.ts'

const FENCED = 1
const COMMITTED = 2
const FORGOTTEN = 3
const KEPT = 0
const CLEARED = 1
const SET = 2

/** Layout: docs/storage-format.md, "Marks of consumer groups". */
export function sizeOfGroupMarks(marks: readonly GroupMark[]): number {
  let length = 2
  for (const mark of marks) {
    length += 2 + Buffer.byteLength(mark.group)
    switch (mark.type) {
      case 'fenced':
        length += 8 + 1 + Buffer.byteLength(mark.owner) + 1 + (typeof mark.committed === 'number' ? 8 : 0)
        break
      case 'committed':
        length += 8
        break
      case 'forgotten':
        break
    }
  }
  return length
}

/** Returns where they end. */
export function writeGroupMarks(out: Buffer, marks: readonly GroupMark[], start: number): number {
  let at = out.writeUInt16BE(marks.length, start)
  for (const mark of marks) {
    switch (mark.type) {
      case 'fenced':
        at = writeText(out, mark.group, out.writeUInt8(FENCED, at))
        at = writeUint64(out, mark.epoch, at)
        at = writeText(out, mark.owner, at)
        if (typeof mark.committed === 'number') {
          at = writeUint64(out, mark.committed, out.writeUInt8(SET, at))
        } else at = out.writeUInt8(mark.committed === 'cleared' ? CLEARED : KEPT, at)
        break
      case 'committed':
        at = writeText(out, mark.group, out.writeUInt8(COMMITTED, at))
        at = writeUint64(out, mark.offset, at)
        break
      case 'forgotten':
        at = writeText(out, mark.group, out.writeUInt8(FORGOTTEN, at))
        break
    }
  }
  return at
}

export function readGroupMarks(
  bytes: Buffer,
  start: number,
): { readonly marks: GroupMark[]; readonly end: number } {
  const marks: GroupMark[] = []
  let at = start + 2
  for (let left = bytes.readUInt16BE(start); left > 0; left--) {
    const type = bytes.readUInt8(at)
    const group = readText(bytes, at + 1)
    at += 2 + bytes.readUInt8(at + 1)
    switch (type) {
      case FENCED: {
        const epoch = readUint64(bytes, at)
        const owner = readText(bytes, at + 8)
        at += 9 + bytes.readUInt8(at + 8)
        const kind = bytes.readUInt8(at)
        at += 1
        const committed = kind === SET ? readUint64(bytes, at) : kind === CLEARED ? 'cleared' : 'kept'
        if (kind === SET) at += 8
        marks.push({ type: 'fenced', group, epoch, owner, committed })
        break
      }
      case COMMITTED:
        marks.push({ type: 'committed', group, offset: readUint64(bytes, at) })
        at += 8
        break
      default:
        assert(type === FORGOTTEN, 'event.group-mark', `${type}`)
        marks.push({ type: 'forgotten', group })
    }
  }
  return { marks, end: at }
}

/** Names have at most 249 characters, of one byte each. */
export function writeText(out: Buffer, text: string, at: number): number {
  const length = out.write(text, at + 1, 'utf8')
  return out.writeUInt8(length, at) + length
}

export function readText(bytes: Buffer, at: number): string {
  return bytes.toString('utf8', at + 1, at + 1 + bytes.readUInt8(at))
}
