import { describe, expect, it } from 'vitest'
import { IdleMemory, lookEveryMs } from '../../src/cli/idle-memory.ts'

const MIB = 1024 * 1024

class FakeProcess {
  cpu = 0
  heap = 100 * MIB
  collections = 0
  cpuMicros(): number {
    return this.cpu
  }
  heapUsedBytes(): number {
    return this.heap
  }
  collect(): void {
    this.collections += 1
    this.heap = 60 * MIB
    this.cpu += 100_000
  }
}

const busyMicros = lookEveryMs * 1000 * 0.5

describe('memory of a process that has become idle', () => {
  it('is not touched while the process is busy', () => {
    const process = new FakeProcess()
    const memory = new IdleMemory(process)
    process.cpu += busyMicros
    process.heap = 900 * MIB
    expect(memory.look()).toBe(false)
    expect(process.collections).toBe(0)
  })

  it('is collected in two steps, and again only when there is more to give back', () => {
    const process = new FakeProcess()
    const memory = new IdleMemory(process)
    expect(memory.look()).toBe(true)
    expect(memory.look()).toBe(true)
    expect(memory.look()).toBe(false)
    process.heap += 10 * MIB
    expect(memory.look()).toBe(false)
    process.heap += 10 * MIB
    expect(memory.look()).toBe(true)
    expect(process.collections).toBe(3)
  })

  it('is looked at anew after each busy time', () => {
    const process = new FakeProcess()
    const memory = new IdleMemory(process)
    while (memory.look()) expect(process.collections).toBeLessThan(5)
    process.cpu += busyMicros
    process.heap = 300 * MIB
    expect(memory.look()).toBe(false)
    expect(memory.look()).toBe(true)
  })
})
