import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { SendQueue } from '../../src/env/node/grpc-sink.ts'

const MIB = 1024 * 1024

describe('the queue before a gRPC stream', () => {
  it('tells of the drain whoever was told to stop, though something small was sent before it came', () => {
    const taken: (() => void)[] = []
    const stream = new Writable({
      highWaterMark: 64 * MIB,
      write: (_chunk, _encoding, done) => void taken.push(() => done()),
      writev: (_chunks, done) => void taken.push(() => done()),
    })
    const queue = new SendQueue<Uint8Array>(stream, { encode: (bytes) => bytes, decode: (bytes) => bytes })
    let drains = 0
    queue.onDrain(() => drains++)
    expect(queue.send(new Uint8Array(0.8 * MIB))).toBe(true)
    expect(queue.send(new Uint8Array(0.7 * MIB))).toBe(false)
    taken.shift()!()
    return new Promise<void>((resolve) => setImmediate(resolve)).then(async () => {
      // 0.7 MiB wait: below the bound, and not yet so little that sending may go on.
      expect(queue.send(new Uint8Array(10))).toBe(false)
      while (taken.length > 0) {
        taken.shift()!()
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(drains).toBe(1)
      expect(queue.send(new Uint8Array(10))).toBe(true)
    })
  })
})
