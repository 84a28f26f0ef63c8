/**
 * How a FlotillaError crosses the wire. A failed call carries google.rpc.Status (in the trailer
 * `grpc-status-details-bin`) with google.rpc.ErrorInfo, google.rpc.RetryInfo where a delay is known, and
 * flotilla.v1.Error, which holds all of it. Messages of a stream carry flotilla.v1.Error itself.
 */
import { RpcError, StatusCode } from '../env/index.ts'
import { decodeError, encodeError, writeDurationMs } from './error-codec.ts'
import { FlotillaError, type FlotillaErrorOptions } from './errors.ts'
import type { ErrorMessage } from './messages.ts'
import { MalformedMessageError, ProtoReader, ProtoWriter, tagOf, WireType } from './protobuf.ts'

const ERROR_DOMAIN = 'flotilla'
const TYPE_ERROR_INFO = 'type.googleapis.com/google.rpc.ErrorInfo'
const TYPE_RETRY_INFO = 'type.googleapis.com/google.rpc.RetryInfo'
const TYPE_FLOTILLA_ERROR = 'type.googleapis.com/flotilla.v1.Error'

const ONE_BYTES = tagOf(1, WireType.bytes)
const TWO_BYTES = tagOf(2, WireType.bytes)
const STATUS_DETAILS = tagOf(3, WireType.bytes)

export function toErrorMessage(error: FlotillaError): ErrorMessage {
  const { reason, message, effect, retryable, retryDelayMs, leader, offsetRange } = error
  return { reason, message, effect, retryable, retryDelayMs, leader, offsetRange }
}

export function fromErrorMessage(error: ErrorMessage, cause?: unknown): FlotillaError {
  const options: FlotillaErrorOptions = {
    effect: error.effect,
    retryable: error.retryable,
    ...(error.retryDelayMs === undefined ? {} : { retryDelayMs: error.retryDelayMs }),
    ...(error.leader === undefined ? {} : { leader: error.leader }),
    ...(error.offsetRange === undefined ? {} : { offsetRange: error.offsetRange }),
    ...(cause === undefined ? {} : { cause }),
  }
  return new FlotillaError(error.reason, error.message, options)
}

/** The error that a handler throws or fails its stream with. */
export function toRpcError(error: FlotillaError): RpcError {
  return new RpcError(error.code, error.message, { details: encodeStatus(error), cause: error })
}

/** Encodes google.rpc.Status with its details. */
export function encodeStatus(error: FlotillaError): Uint8Array {
  const writer = new ProtoWriter(error.message.length * 2 + 512)
  writeAny(writer, TYPE_FLOTILLA_ERROR, () => writer.raw(encodeError(toErrorMessage(error))))
  const { retryDelayMs } = error
  if (retryDelayMs !== undefined) {
    writeAny(writer, TYPE_RETRY_INFO, () => writeDurationMs(writer, 1, retryDelayMs))
  }
  writeAny(writer, TYPE_ERROR_INFO, () => {
    writer.stringField(2, ERROR_DOMAIN)
    writer.stringField(1, error.reason)
  })
  writer.stringField(2, error.message)
  writer.integerField(1, error.code)
  return writer.finish()
}

function writeAny(writer: ProtoWriter, typeUrl: string, writeValue: () => void): void {
  const mark = writer.written
  writeValue()
  writer.delimit(2, mark)
  writer.stringField(1, typeUrl)
  writer.delimit(3, mark)
}

/** The flotilla.v1.Error in an encoded google.rpc.Status, if there is one. Throws MalformedMessageError. */
export function decodeStatus(details: Uint8Array): ErrorMessage | undefined {
  const reader = new ProtoReader(details)
  while (reader.more) {
    const tag = reader.tag()
    if (tag !== STATUS_DETAILS) {
      reader.skip(tag)
      continue
    }
    const value = valueOfAny(reader.view(), TYPE_FLOTILLA_ERROR)
    if (value !== undefined) return decodeError(value)
  }
  return undefined
}

function valueOfAny(encoded: Uint8Array, wantedType: string): Uint8Array | undefined {
  const reader = new ProtoReader(encoded)
  let typeUrl = ''
  let value: Uint8Array = new Uint8Array(0)
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE_BYTES) typeUrl = reader.string()
    else if (tag === TWO_BYTES) value = reader.view()
    else reader.skip(tag)
  }
  return typeUrl === wantedType ? value : undefined
}

/**
 * What a failed call means. With details from a Flotilla node: that node's error. Without, the transport or a proxy
 * speaks:
 * - the request surely never arrived: UNREACHABLE, no effect, retryable;
 * - refused before any handler saw it (INVALID_ARGUMENT, UNIMPLEMENTED, permissions): no effect, not retryable;
 * - too large a message (RESOURCE_EXHAUSTED): LIMIT_EXCEEDED, and the effect is unknown, as it may be the answer;
 * - anything else (connection lost, deadline, cancelled, reset): UNKNOWN_OUTCOME.
 */
export function fromRpcError(error: RpcError): FlotillaError {
  const told = error.details === undefined ? undefined : tryDecodeStatus(error.details)
  if (told !== undefined) return fromErrorMessage(told, error)
  if (error.neverSent) return new FlotillaError('UNREACHABLE', error.message, { cause: error })
  switch (error.code) {
    case StatusCode.invalidArgument:
    case StatusCode.unimplemented:
    case StatusCode.unauthenticated:
    case StatusCode.permissionDenied:
      return new FlotillaError('INVALID_ARGUMENT', error.message, { cause: error })
    case StatusCode.resourceExhausted:
      return new FlotillaError('LIMIT_EXCEEDED', error.message, { cause: error, effect: 'unknown' })
    case StatusCode.ok:
    case StatusCode.cancelled:
    case StatusCode.unknown:
    case StatusCode.deadlineExceeded:
    case StatusCode.notFound:
    case StatusCode.alreadyExists:
    case StatusCode.failedPrecondition:
    case StatusCode.aborted:
    case StatusCode.outOfRange:
    case StatusCode.internal:
    case StatusCode.unavailable:
    case StatusCode.dataLoss:
      return new FlotillaError('UNKNOWN_OUTCOME', error.message, { cause: error })
  }
}

/** Details that nobody can read don't hide the failure that they came with. */
function tryDecodeStatus(details: Uint8Array): ErrorMessage | undefined {
  try {
    return decodeStatus(details)
  } catch (error) {
    if (error instanceof MalformedMessageError) return undefined
    throw error
  }
}
