/**
 * Protobuf's wire format for the codecs that are written by hand: strict about bounds, UTF-8 and integers beyond
 * 2^53, without an object per 64-bit number, and with one copy per encoded message. (protobufjs reads a string that
 * ends beyond its buffer as a shorter string, and boxes every int64.) https://protobuf.dev/programming-guides/encoding
 */

/** Bytes that aren't the message they are read as. */
export class MalformedMessageError extends Error {
  override readonly name = 'MalformedMessageError'
}

export const WireType = { varint: 0, fixed64: 1, bytes: 2, group: 3, groupEnd: 4, fixed32: 5 } as const

const TWO_TO_32 = 0x1_0000_0000
const MAX_FIELD_NUMBER = 0x1fff_ffff
const MAX_GROUP_DEPTH = 32
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** `field << 3 | wireType`: what stands before every field. */
export const tagOf = (field: number, wireType: number): number => field * 8 + wireType

/** Reads `bytes` from `pos` to `end`; both may be moved by the caller to read a part of a message in place. */
export class ProtoReader {
  readonly bytes: Uint8Array
  pos: number
  end: number
  // The two halves of the varint read last.
  #low = 0
  #high = 0

  constructor(bytes: Uint8Array, pos = 0, end = bytes.length) {
    this.bytes = bytes
    this.pos = pos
    this.end = end
  }

  get more(): boolean {
    return this.pos < this.end
  }

  tag(): number {
    // Fields 1 to 15, nearly all there are, take a byte.
    const first = this.pos < this.end ? this.bytes[this.pos]! : 0
    if (first >= 8 && first < 0x80) {
      this.pos++
      return first
    }
    const tag = this.uint64()
    const field = Math.floor(tag / 8)
    if (field < 1 || field > MAX_FIELD_NUMBER)
      throw new MalformedMessageError(`no field has the number ${field}`)
    return tag
  }

  uint32(): number {
    this.#varint()
    return this.#low
  }

  int32(): number {
    this.#varint()
    return this.#low | 0
  }

  bool(): boolean {
    this.#varint()
    return this.#low !== 0 || this.#high !== 0
  }

  uint64(): number {
    this.#varint()
    return this.#safe(this.#high)
  }

  int64(): number {
    this.#varint()
    return this.#safe(this.#high | 0)
  }

  fixed32(): number {
    const at = this.#take(4)
    const { bytes } = this
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  }

  fixed64(): bigint {
    const low = BigInt(this.fixed32())
    return low | (BigInt(this.fixed32()) << 32n)
  }

  /** Reads a length and returns where what it measures ends; `pos` is then where it starts. */
  lengthDelimitedEnd(): number {
    const length = this.#length()
    const end = this.pos + length
    if (end > this.end) {
      throw new MalformedMessageError(`${length} bytes are announced where ${this.end - this.pos} are left`)
    }
    return end
  }

  /** A view, no copy. */
  view(): Uint8Array {
    const end = this.lengthDelimitedEnd()
    const view = this.bytes.subarray(this.pos, end)
    this.pos = end
    return view
  }

  string(): string {
    const end = this.lengthDelimitedEnd()
    const start = this.pos
    this.pos = end
    return decodeUtf8(this.bytes, start, end)
  }

  /** Throws where the bytes from here to `end` are no valid UTF-8. */
  checkUtf8(end: number): void {
    if (!isAscii(this.bytes, this.pos, end)) decodeUtf8(this.bytes, this.pos, end)
  }

  skip(tag: number, depth = 0): void {
    const wireType = tag % 8
    switch (wireType) {
      case WireType.varint:
        this.#varint()
        return
      case WireType.fixed64:
        this.#take(8)
        return
      case WireType.bytes:
        this.pos = this.lengthDelimitedEnd()
        return
      case WireType.group:
        this.#skipGroup(tag - WireType.group + WireType.groupEnd, depth + 1)
        return
      case WireType.fixed32:
        this.#take(4)
        return
      default:
        throw new MalformedMessageError(
          `wire type ${wireType} of field ${Math.floor(tag / 8)} cannot stand here`,
        )
    }
  }

  #skipGroup(endTag: number, depth: number): void {
    if (depth > MAX_GROUP_DEPTH)
      throw new MalformedMessageError(`groups are nested deeper than ${MAX_GROUP_DEPTH}`)
    for (let tag = this.tag(); tag !== endTag; tag = this.tag()) this.skip(tag, depth)
  }

  /** Most take a byte or two. */
  #length(): number {
    const { bytes, pos, end } = this
    if (pos + 1 < end) {
      const first = bytes[pos]!
      const second = bytes[pos + 1]!
      if (first < 0x80) {
        this.pos = pos + 1
        return first
      }
      if (second < 0x80) {
        this.pos = pos + 2
        return (first & 0x7f) | (second << 7)
      }
    }
    return this.uint64()
  }

  #take(count: number): number {
    const at = this.pos
    if (at + count > this.end) throw new MalformedMessageError('the message ends within a field')
    this.pos = at + count
    return at
  }

  #varint(): void {
    const { bytes, end } = this
    let pos = this.pos
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (pos >= end) throw new MalformedMessageError('the message ends within a number')
      const byte = bytes[pos++]!
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else if (shift < 63) high |= bits << (shift - 32)
      else high |= (bits & 1) << 31
      if (byte < 0x80) {
        this.pos = pos
        this.#low = low >>> 0
        this.#high = high >>> 0
        return
      }
    }
    throw new MalformedMessageError('a number has more than ten bytes')
  }

  #safe(high: number): number {
    const value = high * TWO_TO_32 + this.#low
    if (!Number.isSafeInteger(value)) {
      throw new MalformedMessageError(
        `a number near ${value} is beyond ±(2^53 - 1), which is as far as they go here`,
      )
    }
    return value
  }
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at]! >= 0x80) return false
  return true
}

function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  try {
    return utf8.decode(bytes.subarray(start, end))
  } catch (cause) {
    throw new MalformedMessageError('a text is not valid UTF-8', { cause })
  }
}

/**
 * Writes a message from its end to its beginning: when the length of a part has to be written, the part is already
 * there, so nothing is measured beforehand and nothing moved afterwards. Fields therefore come in descending order.
 */
export class ProtoWriter {
  #buffer: Buffer
  #pos: number
  /** Where in the buffer the newest piece ends. */
  #end: number
  /** What comes after it, the first piece last. */
  readonly #behind: Uint8Array[] = []
  #behindBytes = 0

  /** `capacityBytes` is a guess of the encoded length; a short one costs a copy. */
  constructor(capacityBytes: number) {
    this.#buffer = Buffer.allocUnsafe(Math.max(16, capacityBytes))
    this.#pos = this.#buffer.length
    this.#end = this.#pos
  }

  /** A mark for `delimit`. */
  get written(): number {
    return this.#behindBytes + this.#end - this.#pos
  }

  finish(): Uint8Array {
    const [first, ...others] = this.finishInPieces()
    return others.length === 0 ? first! : Buffer.concat([first!, ...others])
  }

  /** The message in pieces, one of them for each `reference`. */
  finishInPieces(): Uint8Array[] {
    return [this.#buffer.subarray(this.#pos, this.#end), ...this.#behind.toReversed()]
  }

  /** As `raw`, but the bytes are taken as they are and not copied. */
  reference(bytes: Uint8Array): void {
    if (this.#end > this.#pos) this.#behind.push(this.#buffer.subarray(this.#pos, this.#end))
    this.#behind.push(bytes)
    this.#behindBytes += this.#end - this.#pos + bytes.length
    this.#end = this.#pos
  }

  /** Turns what was written since the mark into the content of a length-delimited field. */
  delimit(field: number, mark: number): void {
    this.varint(this.written - mark)
    this.varint(tagOf(field, WireType.bytes))
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length)
    this.#buffer.set(bytes, at)
  }

  bytesField(field: number, bytes: Uint8Array): void {
    this.raw(bytes)
    this.varint(bytes.length)
    this.varint(tagOf(field, WireType.bytes))
  }

  /** Left out where empty, as proto3 does. */
  stringField(field: number, text: string): void {
    if (text === '') return
    const length = Buffer.byteLength(text)
    const at = this.#reserve(length)
    this.#buffer.write(text, at, length)
    this.varint(length)
    this.varint(tagOf(field, WireType.bytes))
  }

  /** A whole number of any of the varint types, left out where 0, as proto3 does. */
  integerField(field: number, value: number): void {
    if (value !== 0) this.presentIntegerField(field, value)
  }

  /** For `optional` fields and members of a oneof: written even where 0. */
  presentIntegerField(field: number, value: number): void {
    this.varint(value)
    this.varint(tagOf(field, WireType.varint))
  }

  boolField(field: number, value: boolean): void {
    if (value) this.presentIntegerField(field, 1)
  }

  presentFixed32Field(field: number, value: number): void {
    const at = this.#reserve(4)
    this.#buffer.writeUInt32LE(value, at)
    this.varint(tagOf(field, WireType.fixed32))
  }

  presentFixed64Field(field: number, value: bigint): void {
    const at = this.#reserve(8)
    this.#buffer.writeBigUInt64LE(value, at)
    this.varint(tagOf(field, WireType.fixed64))
  }

  varint(value: number): void {
    if (value >= 0 && value < 0x80) {
      const at = this.#reserve(1)
      this.#buffer[at] = value
      return
    }
    if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is no whole number within ±(2^53 - 1)`)
    const at = this.#reserve(varintLength(value))
    writeVarint(this.#buffer, at, value)
  }

  #reserve(count: number): number {
    if (count > this.#pos) this.#grow(count)
    this.#pos -= count
    return this.#pos
  }

  #grow(count: number): void {
    const written = this.#end - this.#pos
    const buffer = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, written + count))
    this.#buffer.copy(buffer, buffer.length - written, this.#pos, this.#end)
    this.#buffer = buffer
    this.#pos = buffer.length - written
    this.#end = buffer.length
  }
}

/** How many bytes `value` takes as a varint; a negative one takes ten. */
export function varintLength(value: number): number {
  if (value < 0) return 10
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}

/** Writes a varint at `at` and returns where it ends. */
export function writeVarint(out: Uint8Array, at: number, value: number): number {
  let pos = at
  if (value < 0) {
    // Two's complement of 64 bits: seven bits at a time from both halves.
    let rest = BigInt.asUintN(64, BigInt(value))
    for (; rest >= 0x80n; rest >>= 7n) out[pos++] = Number(rest & 0x7fn) | 0x80
    out[pos++] = Number(rest)
    return pos
  }
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out[pos++] = (rest % 0x80) | 0x80
  out[pos++] = rest
  return pos
}
