/** The project's .proto files, parsed when first needed, and codecs made from them for the calls that aren't hot. */
import { fileURLToPath } from 'node:url'
import protobuf from 'protobufjs'
import type { Codec } from '../env/index.ts'
import { MalformedMessageError } from './protobuf.ts'

/** The folder that holds flotilla/v1; the same from src/wire and from dist/wire. */
export const PROTO_DIRECTORY: string = fileURLToPath(new URL('../../proto', import.meta.url))

export const PROTO_FILES: readonly string[] = [
  'flotilla/v1/log.proto',
  'flotilla/v1/topic.proto',
  'flotilla/v1/cluster.proto',
  'flotilla/v1/group.proto',
]

let loadedRoot: protobuf.Root | undefined

export function protoRoot(): protobuf.Root {
  if (loadedRoot === undefined) {
    const root = new protobuf.Root()
    // google/protobuf/*.proto come with protobufjs, everything else lies in the folder.
    root.resolvePath = (_origin, target) =>
      target in protobuf.common ? target : `${PROTO_DIRECTORY}/${target}`
    root.loadSync([...PROTO_FILES, 'flotilla/peer/v1/peer.proto']).resolveAll()
    loadedRoot = root
  }
  return loadedRoot
}

/**
 * A codec in the shape of messages.ts: camelCase names, enums by name, int64 as safe integers, fixed64 as decimal
 * strings, unset message fields null, unset `optional` fields absent. Requests refuse enum numbers that this version
 * doesn't know, since they ask for something it can't do; responses show them as unspecified.
 */
export function reflectionCodec<T extends object>(typeName: string, use: 'request' | 'response'): Codec<T> {
  let lazyType: protobuf.Type | undefined
  const messageType = (): protobuf.Type => (lazyType ??= protoRoot().lookupType(typeName))
  return {
    encode: (message) => messageType().encode(messageType().fromObject(message)).finish(),
    decode: (bytes) => {
      const type = messageType()
      // The plain Reader checks the bounds of strings, the one for Buffers that `create` picks doesn't.
      const message = decodeWith(type, new protobuf.Reader(bytes))
      const plain: Plain = type.toObject(message, { enums: String, longs: String, defaults: true })
      adjust(type, plain, use)
      return plain as T
    },
  }
}

type Plain = Record<string, unknown>

function decodeWith(type: protobuf.Type, reader: protobuf.Reader): protobuf.Message {
  try {
    return type.decode(reader)
  } catch (cause) {
    throw new MalformedMessageError(`these bytes are no ${type.name}: ${String(cause)}`, { cause })
  }
}

function adjust(type: protobuf.Type, plain: Plain, use: 'request' | 'response'): void {
  for (const field of type.fieldsArray) {
    const value = plain[field.name]
    if (value === undefined || value === null) continue
    if (Array.isArray(value)) plain[field.name] = value.map((element) => adjusted(field, element, use))
    else plain[field.name] = adjusted(field, value, use)
  }
}

function adjusted(field: protobuf.Field, value: unknown, use: 'request' | 'response'): unknown {
  const type = field.resolvedType
  if (type instanceof protobuf.Type) {
    adjust(type, value as Plain, use)
    return value
  }
  if (type instanceof protobuf.Enum)
    return typeof value === 'number' ? unknownEnum(field, type, value, use) : value
  switch (field.type) {
    case 'int64':
    case 'uint64':
      return safeInteger(field, String(value))
    case 'fixed64':
      // protobufjs reads it as signed.
      return BigInt.asUintN(64, BigInt(String(value))).toString()
    default:
      return value
  }
}

function unknownEnum(
  field: protobuf.Field,
  type: protobuf.Enum,
  value: number,
  use: 'request' | 'response',
): string {
  if (use === 'request') {
    throw new MalformedMessageError(`${field.name} has the value ${value}, which this version doesn't know`)
  }
  return type.valuesById[0] ?? ''
}

function safeInteger(field: protobuf.Field, decimal: string): number {
  const number = Number(decimal)
  if (Number.isSafeInteger(number)) return number
  throw new MalformedMessageError(
    `${field.name} is ${decimal}, beyond ±(2^53 - 1), which is as far as numbers go here`,
  )
}
