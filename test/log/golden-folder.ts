import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExpectedGroup } from './stopped-folder.ts'

/**
 * Folders as earlier builds wrote them, one for each version of the format: golden/vN holds the folder, golden/vN.txt what
 * is in it. They are never written again; a new version gets one with `npx tsx test/log/write-golden.ts`.
 */
export const goldenDirectory = join(import.meta.dirname, 'golden')

export async function readGolden(version: number): Promise<readonly ExpectedGroup[]> {
  const text = await readFile(join(goldenDirectory, `v${version}.txt`), 'utf8')
  return JSON.parse(text, revive) as readonly ExpectedGroup[]
}

export function goldenText(groups: readonly ExpectedGroup[]): string {
  return `${JSON.stringify(groups, replace)}\n`
}

function replace(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { bigint: value.toString() }
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') }
  return value
}

function revive(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('bigint' in value) return BigInt(String(value.bigint))
  if ('hex' in value) return new Uint8Array(Buffer.from(String(value.hex), 'hex'))
  return value
}
