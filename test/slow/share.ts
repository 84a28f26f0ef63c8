/**
 * How much of the slow suite runs, in percent: 100 unless FLOTILLA_SLOW_PERCENT says otherwise. A CI run takes a slice, so that
 * each of these laws is tried there too.
 */
const percent = Number(process.env['FLOTILLA_SLOW_PERCENT'] ?? 100)
if (!(percent > 0 && percent <= 100)) {
  throw new RangeError(
    `FLOTILLA_SLOW_PERCENT is ${process.env['FLOTILLA_SLOW_PERCENT']}; it must be above 0 and at most 100`,
  )
}

/** That share of `full`, at least one. */
export const shareOf = (full: number): number => Math.max(1, Math.round((full * percent) / 100))
