import { test } from '@fast-check/vitest'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import { RpcError, StatusCode } from '../../src/env/index.ts'
import {
  decodeStatus,
  encodeStatus,
  FlotillaError,
  fromErrorMessage,
  fromRpcError,
  toErrorMessage,
  toRpcError,
} from '../../src/wire/index.ts'
import { errorMessage } from './arbitraries.ts'

describe('an error crosses the wire whole', () => {
  test.prop([errorMessage])('as the status of a call', (message) => {
    const error = fromErrorMessage(message)
    const rpcError = toRpcError(error)
    expect(rpcError.code).toBe(error.code)
    expect(toErrorMessage(fromRpcError(rpcError))).toEqual(message)
  })

  it('with the standard details that any gRPC library reads', () => {
    const root = protobuf.parse(`
      syntax = "proto3"; package google.rpc;
      message Any { string type_url = 1; bytes value = 2; }
      message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
      message ErrorInfo { string reason = 1; string domain = 2; }
      message Duration { int64 seconds = 1; int32 nanos = 2; }
      message RetryInfo { Duration retry_delay = 1; }`).root
    const decode = (type: string, encoded: Uint8Array): Record<string, unknown> => {
      const found = root.lookupType(`google.rpc.${type}`)
      return found.toObject(found.decode(encoded), { longs: Number })
    }
    const status = decode(
      'Status',
      encodeStatus(new FlotillaError('THROTTLED', 'wait a bit', { retryDelayMs: 1500 })),
    )
    expect(status).toMatchObject({ code: StatusCode.resourceExhausted, message: 'wait a bit' })
    const details = status['details'] as { typeUrl: string; value: Uint8Array }[]
    expect(details.map((detail) => detail.typeUrl)).toEqual([
      'type.googleapis.com/google.rpc.ErrorInfo',
      'type.googleapis.com/google.rpc.RetryInfo',
      'type.googleapis.com/flotilla.v1.Error',
    ])
    expect(decode('ErrorInfo', details[0]!.value)).toEqual({ reason: 'THROTTLED', domain: 'flotilla' })
    expect(decode('RetryInfo', details[1]!.value)).toEqual({ retryDelay: { seconds: 1, nanos: 500_000_000 } })
  })
})

describe('a failure without details', () => {
  it('that never left the client had no effect', () => {
    const error = fromRpcError(
      new RpcError(StatusCode.unavailable, 'connect ECONNREFUSED', { neverSent: true }),
    )
    expect(error).toMatchObject({ reason: 'UNREACHABLE', effect: 'none', retryable: true })
  })
  it.each([
    ['a lost connection', StatusCode.unavailable],
    ['a deadline', StatusCode.deadlineExceeded],
    ['a cancellation', StatusCode.cancelled],
    ['a reset stream', StatusCode.internal],
  ])('%s leaves the outcome unknown', (_what, code) => {
    expect(fromRpcError(new RpcError(code, 'x'))).toMatchObject({
      reason: 'UNKNOWN_OUTCOME',
      effect: 'unknown',
    })
  })
  it('that refuses the call itself is no unknown outcome', () => {
    const error = fromRpcError(new RpcError(StatusCode.unimplemented, 'no such method'))
    expect(error).toMatchObject({ effect: 'none', retryable: false, message: 'no such method' })
  })
  it('or with details that nobody can read still tells its code', () => {
    const details = Buffer.from('ffff', 'hex')
    expect(fromRpcError(new RpcError(StatusCode.unavailable, 'x', { details })).reason).toBe(
      'UNKNOWN_OUTCOME',
    )
  })
  it('from a newer server with an unknown reason keeps effect and retryable', () => {
    const known = encodeStatus(new FlotillaError('NOT_LEADER', 'm'))
    const at = Buffer.from(known).indexOf(Buffer.from('0811100e1a', 'hex'))
    const newer = Buffer.from(known)
    newer[at + 1] = 0x7f
    expect(decodeStatus(newer)).toMatchObject({ reason: 'INTERNAL', effect: 'none', retryable: true })
  })
})
