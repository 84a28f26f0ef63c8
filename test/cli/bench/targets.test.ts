import { describe, expect, it } from 'vitest'
import { Payloads } from '../../../src/cli/bench/payloads.ts'
import { inFlightBound, maxInFlightBytes, plainValues, SingleTarget } from '../../../src/cli/bench/targets.ts'
import type { Connection, Network, Receiver } from '../../../src/env/index.ts'
import { RpcError, StatusCode } from '../../../src/env/index.ts'
import { decodeRecordSet } from '../../../src/wire/index.ts'
import type { AppendStreamRequest, AppendStreamResponse } from '../../../src/wire/messages.ts'

/** One node's AppendStream as the target sees it; it takes `roomFor` messages before it is full. */
class FakeNode {
  readonly taken: AppendStreamRequest[] = []
  roomFor = Infinity
  streams = 0
  #receiver: Receiver<AppendStreamResponse> | undefined
  #onDrain = (): void => {}

  connection(address: string): Connection {
    const duplex = (_method: unknown, receiver: Receiver<AppendStreamResponse>) => {
      this.streams++
      this.#receiver = receiver
      return {
        send: (message: AppendStreamRequest) => {
          this.taken.push(message)
          return --this.roomFor > 0
        },
        onDrain: (listener: () => void) => (this.#onDrain = listener),
        end: () => {},
        fail: () => {},
        pause: () => {},
        resume: () => {},
      }
    }
    return { address, duplex, close: () => {} } as unknown as Connection
  }

  drain(roomFor: number): void {
    this.roomFor = roomFor
    this.#onDrain()
  }

  answer(results: AppendStreamResponse['results']): void {
    this.#receiver?.onMessage({ results })
  }

  lose(error: RpcError | undefined): void {
    this.#receiver?.onClose(error)
  }
}

function targetOf(leaders: readonly string[]) {
  const nodes = new Map([...new Set(leaders)].map((address) => [address, new FakeNode()]))
  const network = { connect: (address: string) => nodes.get(address)!.connection(address) } as Network
  const target = new SingleTarget(network, 'orders', leaders, plainValues(new Payloads(100)))
  const settled: [number, unknown][] = []
  const append = (number: number): void =>
    target.append(number, 0, (error) => void settled.push([number, error]))
  return { append, settled, node: (address: string) => nodes.get(address)! }
}

const appended = { partition: 0, baseOffset: 0, recordCount: 1, appendTimeMs: 0, duplicate: false }

describe('one request a record', () => {
  it('fails all that wait where the stream is lost, and opens another for the next', () => {
    const { append, settled, node } = targetOf(['a:1'])
    append(0)
    append(1)
    node('a:1').lose(new RpcError(StatusCode.unavailable, 'gone'))
    expect(settled.map(([number]) => number)).toEqual([0, 1])
    expect(settled.every(([, error]) => error instanceof Error)).toBe(true)
    append(2)
    expect(node('a:1').streams).toBe(2)
  })

  it('fails what waits where the node ends the stream without an error', () => {
    const { append, settled, node } = targetOf(['a:1'])
    append(0)
    node('a:1').lose(undefined)
    expect(settled[0]?.[1]).toMatchObject({ reason: 'UNREACHABLE' })
  })

  it('tells an error that one of the answers carries', () => {
    const { append, settled, node } = targetOf(['a:1'])
    append(0)
    append(1)
    const error = {
      reason: 'NOT_LEADER',
      message: 'elsewhere',
      effect: 'none',
      retryable: true,
      retryDelayMs: undefined,
      leader: undefined,
      offsetRange: undefined,
    } as const
    node('a:1').answer([
      { correlationId: 1, appended },
      { correlationId: 0, error },
    ])
    expect(settled[0]).toEqual([1, undefined])
    expect(settled[1]).toMatchObject([0, { reason: 'NOT_LEADER' }])
  })

  it('sends no more than the stream has room for', () => {
    const { append, node } = targetOf(['a:1'])
    node('a:1').roomFor = 2
    for (let number = 0; number < 5; number++) append(number)
    expect(node('a:1').taken).toHaveLength(2)
    node('a:1').drain(2)
    expect(node('a:1').taken).toHaveLength(4)
    node('a:1').drain(10)
    expect(node('a:1').taken.map(({ appends }) => appends[0]?.correlationId)).toEqual([0, 1, 2, 3, 4])
  })

  it('puts one record in each message, partitions in turn, each to its leader', () => {
    const { append, node } = targetOf(['a:1', 'b:1', 'a:1'])
    for (let number = 0; number < 6; number++) append(number)
    const partitionsOf = (address: string) =>
      node(address).taken.map(({ appends }) => appends.map(({ append: { partition } }) => partition))
    expect(partitionsOf('a:1')).toEqual([[0], [2], [0], [2]])
    expect(partitionsOf('b:1')).toEqual([[1], [1]])
    expect(node('a:1').streams).toBe(1)
    const { records, recordsCrc32, producer } = node('b:1').taken[0]!.appends[0]!.append
    expect(decodeRecordSet(records)).toMatchObject([{ key: undefined }])
    expect(recordsCrc32).toBeTypeOf('number')
    expect(producer).toBeUndefined()
  })
})

describe('what the producer has room for', () => {
  it('is at least one record, and never more than its bytes', () => {
    expect(inFlightBound(64 * maxInFlightBytes)).toBe(1)
    expect(inFlightBound(1024) * 1024).toBeLessThan(maxInFlightBytes)
    expect(inFlightBound(1024)).toBeGreaterThan(30_000)
  })
})
