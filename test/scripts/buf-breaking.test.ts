import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
let copy: string

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), 'flotilla-buf-'))
  for (const path of ['buf.yaml', 'package.json', 'proto', 'scripts']) {
    cpSync(join(root, path), join(copy, path), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
})

afterEach(() => rmSync(copy, { recursive: true, force: true }))

function check(...args: string[]): { readonly status: number | null; readonly output: string } {
  const script = join(copy, 'scripts/buf-breaking.js')
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

function edit(proto: string, from: string | RegExp, to: string): void {
  const path = join(copy, 'proto/flotilla', proto)
  const before = readFileSync(path, 'utf8')
  const after = before.replace(from, to)
  expect(after).not.toBe(before)
  writeFileSync(path, after)
}

test('a field that is removed is named, and the way out', () => {
  edit('v1/log.proto', /^.*bool duplicate = 5;\n/m, '')
  const { status, output } = check()
  expect(status).toBe(1)
  expect(output).toContain('"duplicate"')
  expect(output).toContain('AppendResponse')
  expect(output).toContain('node scripts/buf-breaking.js --accept')
})

test('a field that changes its number breaks', () => {
  edit('v1/record.proto', 'optional bytes value = 2;', 'optional bytes value = 9;')
  expect(check().status).toBe(1)
})

test('a service that is removed with its whole file breaks', () => {
  rmSync(join(copy, 'proto/flotilla/v1/cluster.proto'))
  rmSync(join(copy, 'proto/flotilla/peer'), { recursive: true })
  const { status, output } = check()
  expect(status).toBe(1)
  expect(output).toContain('cluster.proto')
})

test('protos that do not compile fail as what they are', () => {
  edit('v1/log.proto', 'message AppendResponse {', 'message AppendResponse')
  const { status, output } = check()
  expect(status).toBe(1)
  expect(output).toContain('log.proto')
  expect(output).not.toContain('--accept')
})

test('without a release to compare with the check fails rather than passes', () => {
  rmSync(join(copy, 'scripts/flotilla-v1.binpb'))
  expect(check().status).toBe(1)
})

test('what is accepted for a release is what later changes are compared with', () => {
  edit('v1/log.proto', /^.*bool duplicate = 5;\n/m, '')
  const accepted = check('--accept')
  expect(accepted.status).toBe(0)
  expect(accepted.output).toContain('"duplicate"')
  expect(check().status).toBe(0)
  edit('v1/log.proto', /^.*int32 record_count = 3;\n/m, '')
  expect(check().status).toBe(1)
})

test('a new field is no break, and neither is any change between the nodes', () => {
  edit('v1/log.proto', 'bool duplicate = 5;', 'bool duplicate = 5;\n  string note = 6;')
  edit('peer/v1/peer.proto', /^message (\w+) \{/m, 'message Renamed$1 {}\n\nmessage $1 {')
  expect(check()).toEqual({ status: 0, output: '' })
})
