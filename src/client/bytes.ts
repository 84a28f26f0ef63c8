import type { Bytes } from './types.ts'

/** Text as UTF-8; bytes as they are. */
export const bytesOf = (value: Bytes): Uint8Array => (typeof value === 'string' ? Buffer.from(value) : value)

/** Random lower-case hexadecimal, for identities. */
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
