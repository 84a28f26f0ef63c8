import { describe, expect, it } from 'vitest'
import {
  parseCpuSeconds,
  parseRssBytes,
  parseWrittenBytes,
  readProcessUsage,
} from '../../../src/cli/bench/proc.ts'

const stat =
  '4242 (node) S 1 4242 4242 0 -1 4194304 9000 0 12 0 1234 566 0 0 20 0 11 0 8000 1100000000 30000 18446744073709551615'
const io = [
  'rchar: 3000',
  'wchar: 5000',
  'syscr: 1',
  'syscw: 2',
  'read_bytes: 4096',
  'write_bytes: 8192',
  'cancelled_write_bytes: 1024',
  '',
].join('\n')
const status = 'Name:\tnode\nVmHWM:\t  200000 kB\nVmRSS:\t  150000 kB\nThreads:\t11\n'

describe('what /proc tells of a process', () => {
  it('is its time on the CPU, in user and kernel mode', () => {
    expect(parseCpuSeconds(stat)).toBe(18)
  })

  it('is found behind a name with blanks and brackets', () => {
    expect(parseCpuSeconds(stat.replace('(node)', '(a ) b (c) 7)'))).toBe(18)
  })

  it('is nothing where the text is of another kind', () => {
    expect(parseCpuSeconds('')).toBeUndefined()
    expect(parseCpuSeconds('4242 (node) S 1')).toBeUndefined()
    expect(parseWrittenBytes('')).toBeUndefined()
    expect(parseRssBytes('Name:\tkthreadd\n')).toBeUndefined()
  })

  it('is what was written to storage, not what was written to pages or cancelled', () => {
    expect(parseWrittenBytes(io)).toBe(8192)
  })

  it('is the memory that it has now, not the most that it ever had', () => {
    expect(parseRssBytes(status)).toBe(150_000 * 1024)
  })
})

describe('reading it', () => {
  const filesOf = (files: Readonly<Record<string, string>>) => ({
    readText: (path: string) => {
      const text = files[path]
      return text === undefined ? Promise.reject(new Error(`ENOENT ${path}`)) : Promise.resolve(text)
    },
  })

  it('gives nothing where there is no /proc', async () => {
    expect(await readProcessUsage(filesOf({}), 4242)).toBeUndefined()
  })

  it('leaves out what may not be read', async () => {
    const files = filesOf({ '/proc/4242/stat': stat, '/proc/4242/status': status })
    expect(await readProcessUsage(files, 4242)).toEqual({
      cpuSeconds: 18,
      writtenBytes: undefined,
      rssBytes: 150_000 * 1024,
    })
  })
})
