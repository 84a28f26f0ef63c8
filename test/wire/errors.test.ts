import { describe, expect, it } from 'vitest'
import { StatusCode } from '../../src/env/index.ts'
import { ERROR_REASONS, FlotillaError, type ErrorReason } from '../../src/wire/index.ts'
import { protoRoot } from '../../src/wire/protos.ts'

const reasons = Object.entries(ERROR_REASONS) as [ErrorReason, (typeof ERROR_REASONS)[ErrorReason]][]

const EFFECTS = {
  none: 'It had no effect.',
  unknown: 'It may have had an effect, or may have one yet.',
  done: 'It had its effect.',
} as const

const statusName = (code: StatusCode): string =>
  Object.entries(StatusCode)
    .find(([, value]) => value === code)![0]
    .replace(/[A-Z]/g, '_$&')
    .toUpperCase()

function document(): string {
  const sections = reasons.map(([reason, row]) => {
    const retry = row.retryable ? 'Worth a retry, unchanged.' : 'A retry of the same call fails again.'
    return [
      `## ${reason}`,
      row.meaning,
      `- Status: ${statusName(row.status)}. Number: ${row.number}.\n- ${EFFECTS[row.effect]} ${retry}`,
      `**Way out:** ${row.wayOut}`,
    ].join('\n\n')
  })
  const head = [
    '# Errors',
    'Every failure carries a reason, the same in every language: in the `google.rpc.ErrorInfo` of the status (domain\n`flotilla`), in `flotilla.v1.Error`, and as `FlotillaError.reason` in TypeScript. An error can narrow what is said\nhere about effect and retry; then its own fields hold.',
    'This page is made from `src/wire/errors.ts`: `npx vitest run test/wire/errors.test.ts -u` writes it anew.',
  ]
  return `${[...head, ...sections].join('\n\n')}\n`
}

describe('the reasons for errors', () => {
  it('are the same in the .proto files, with the same numbers', () => {
    const { values } = protoRoot().lookupEnum('flotilla.v1.ErrorReason')
    const fromTable = Object.fromEntries(
      reasons.map(([reason, row]) => [`ERROR_REASON_${reason}`, row.number]),
    )
    expect(values).toEqual({ ERROR_REASON_UNSPECIFIED: 0, ...fromTable })
  })
  it('are the same in docs/errors.md', async () => {
    await expect(document()).toMatchFileSnapshot('../../docs/errors.md')
  })
  it('are complete sentences, and done or unknown is never called without effect', () => {
    for (const [, row] of reasons) {
      expect(row.meaning).toMatch(/\.$/)
      expect(row.wayOut).toMatch(/\.$/)
    }
  })
})

describe('FlotillaError', () => {
  it('takes effect and retryable from its reason unless told', () => {
    expect(new FlotillaError('NOT_LEADER', 'm')).toMatchObject({ effect: 'none', retryable: true, code: 14 })
    expect(new FlotillaError('NOT_LEADER', 'm').mayHaveTakenEffect).toBe(false)
    expect(new FlotillaError('STORAGE_FAILED', 'm').mayHaveTakenEffect).toBe(true)
    expect(new FlotillaError('STORAGE_FAILED', 'm', { effect: 'none' }).mayHaveTakenEffect).toBe(false)
  })
  it('is recognised across copies of the package', () => {
    const other = Object.assign(new Error('x'), { [Symbol.for('flotilla.FlotillaError')]: true })
    expect(other).toBeInstanceOf(FlotillaError)
    expect(new Error('x')).not.toBeInstanceOf(FlotillaError)
  })
})
