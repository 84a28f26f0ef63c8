import { Metadata, type ServiceError, status as GrpcStatus } from '@grpc/grpc-js'
import { RpcError, type StatusCode } from '../network.ts'

const DETAILS_TRAILER = 'grpc-status-details-bin'
/** Trailers that exceed what the other side takes would turn a clear error into a broken stream. */
const MAX_MESSAGE_LENGTH = 4096

/**
 * What grpc-js itself says when a call ends before it had a connection. It surely wasn't sent then:
 * load-balancer-pick-first.ts, resolver-dns.ts, load-balancing-call.ts and resolving-call.ts of grpc-js 1.14; and
 * REFUSED_STREAM, by which a peer says that it never looked at the request (RFC 9113, 8.7).
 */
const NEVER_SENT = [
  'No connection established',
  'Name resolution failed',
  'Waiting for LB pick',
  'waiting for name resolution',
  'Stream refused by server',
]
const soundsNeverSent = (message: string): boolean => NEVER_SENT.some((part) => message.includes(part))

/** How a call failed, from what grpc-js tells the caller. */
export function rpcErrorOf(error: ServiceError): RpcError {
  const [details] = error.metadata.get(DETAILS_TRAILER)
  const neverSent =
    (error.code === GrpcStatus.UNAVAILABLE || error.code === GrpcStatus.DEADLINE_EXCEEDED) &&
    details === undefined &&
    soundsNeverSent(error.details)
  return new RpcError(error.code as StatusCode, error.details, {
    neverSent,
    cause: error,
    ...(Buffer.isBuffer(details) ? { details } : {}),
  })
}

/** How a server tells a caller. */
export function serviceStatusOf(error: RpcError): { code: number; details: string; metadata: Metadata } {
  const metadata = new Metadata()
  if (error.details !== undefined) metadata.set(DETAILS_TRAILER, asBuffer(error.details))
  return { code: error.code, details: transmissible(error), metadata }
}

function transmissible({ message, details }: RpcError): string {
  // grpc-js puts the text through encodeURI, which throws on half a surrogate pair; UTF-8 and back repairs those.
  const wellFormed = Buffer.from(message.slice(0, MAX_MESSAGE_LENGTH)).toString()
  // A node that passes on how a call of its own failed must not sound as if the caller's had never been sent.
  const deceptive = details === undefined && soundsNeverSent(wellFormed)
  return deceptive ? 'a call of this node to another node never reached it' : wellFormed
}

/** The same bytes as the Buffer that grpc-js wants. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Message codecs lie in the layers above; grpc-js only carries bytes. */
export const identity = (bytes: Buffer): Buffer => bytes
