import { assert } from '../assert.ts'

export function writeUint64(out: Buffer, value: number, at: number): number {
  assert(Number.isSafeInteger(value) && value >= 0, 'event.safe-integer', `${value}`)
  out.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at)
  return out.writeUInt32BE(value % 0x1_0000_0000, at + 4)
}

export function readUint64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4)
  assert(Number.isSafeInteger(value), 'event.safe-integer-read', `${value}`)
  return value
}
