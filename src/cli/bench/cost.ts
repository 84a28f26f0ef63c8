import type { ProcessUsage } from './proc.ts'

/** What a process spent on the records of a run. Figures that can't be had are left out. */
export interface Cost {
  readonly cpuSeconds?: number
  readonly cpuSecondsPerMillionRecords?: number
  /** A gigabyte is 10⁹ bytes of record values. */
  readonly cpuSecondsPerGigabyte?: number
  readonly writtenBytes?: number
  readonly writtenBytesPerByte?: number
  readonly peakRssBytes?: number
}

/** The work that a cost is divided by. */
export interface Work {
  readonly records: number
  readonly valueBytes: number
}

/** What was spent between two looks at a process. Pure. */
export function costOf(
  before: ProcessUsage | undefined,
  after: ProcessUsage | undefined,
  peakRssBytes: number | undefined,
  work: Work,
): Cost {
  const memory = peakRssBytes === undefined ? {} : { peakRssBytes }
  if (before === undefined || after === undefined) return memory
  const cpuSeconds = after.cpuSeconds - before.cpuSeconds
  const perWork =
    work.records === 0
      ? {}
      : {
          cpuSecondsPerMillionRecords: (cpuSeconds / work.records) * 1e6,
          cpuSecondsPerGigabyte: (cpuSeconds / work.valueBytes) * 1e9,
        }
  return { cpuSeconds, ...perWork, ...writtenOf(before, after, work), ...memory }
}

function writtenOf(before: ProcessUsage, after: ProcessUsage, work: Work): Cost {
  if (before.writtenBytes === undefined || after.writtenBytes === undefined) return {}
  const writtenBytes = after.writtenBytes - before.writtenBytes
  return work.valueBytes === 0
    ? { writtenBytes }
    : { writtenBytes, writtenBytesPerByte: writtenBytes / work.valueBytes }
}
