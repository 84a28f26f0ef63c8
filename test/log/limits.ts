import type { LogLimits } from '../../src/log/index.ts'

/** Small, so that a few entries show what millions would. */
export const smallLimits: LogLimits = {
  segmentThresholdBytes: 64,
  segmentBytes: 1000,
  crowdedAboveGroups: 4,
  sharedThresholdBytes: 64,
  sharedSegmentBytes: 10_000,
  sharedBytes: 100_000,
  tailBytes: 500,
}

/** With these every payload that is worth a file goes to a shared segment, and few of these may be kept. */
export const sharedLimits: LogLimits = {
  ...smallLimits,
  crowdedAboveGroups: 0,
  sharedSegmentBytes: 9000,
  sharedBytes: 20_000,
}
