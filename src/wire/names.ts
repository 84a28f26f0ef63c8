import { FlotillaError } from './errors.ts'
import { LIMITS } from './limits.ts'

const NAME = /^[a-zA-Z0-9._-]{1,249}$/

/** Throws INVALID_NAME unless `name` can name a topic. */
export function validateTopicName(name: string): void {
  validateName('topic', name)
}

/** Throws INVALID_NAME unless `id` can name a node. */
export function validateNodeId(id: string): void {
  validateName('node', id)
}

/** Throws INVALID_NAME unless `name` can name a consumer group. */
export function validateGroupName(name: string): void {
  validateName('group', name)
}

/** Throws INVALID_NAME unless `id` can name a member of a group. */
export function validateMemberId(id: string): void {
  validateName('member', id)
}

/** Throws INVALID_NAME unless `id` can name a producer: 1 to 64 bytes of UTF-8. */
export function validateProducerId(id: string): void {
  const bytes = Buffer.byteLength(id)
  if (bytes >= 1 && bytes <= LIMITS.maxProducerIdBytes) return
  throw new FlotillaError(
    'INVALID_NAME',
    `the producer id ${quoted(id)} has ${bytes} bytes; use 1 to ${LIMITS.maxProducerIdBytes}`,
  )
}

function validateName(what: string, name: string): void {
  if (NAME.test(name) && name !== '.' && name !== '..') return
  throw new FlotillaError(
    'INVALID_NAME',
    `${quoted(name)} is no ${what} name: use 1 to ${LIMITS.maxNameLength} of a-z, A-Z, 0-9, ".", "_" and "-", but not "." or ".."`,
  )
}

/** Shortened, so that an error about a long name isn't long itself. */
function quoted(text: string): string {
  return JSON.stringify(text.length <= 64 ? text : `${text.slice(0, 61)}...`)
}
