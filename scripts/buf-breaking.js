/**
 * Compares proto/ with the API of the last release, which scripts/flotilla-v1.binpb holds: `npm run buf`.
 * With --accept the API as it is now becomes the one to compare with.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const baseline = 'scripts/flotilla-v1.binpb'
/** flotilla.peer.v1 promises nothing, so it isn't part of it. */
const promised = 'proto/flotilla/v1'

const bufPackage = createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')
const bufLauncher = join(dirname(bufPackage), 'bin/buf')

/** @param {readonly string[]} args */
function buf(args) {
  const { status, error } = spawnSync(process.execPath, [bufLauncher, ...args], {
    cwd: root,
    stdio: 'inherit',
  })
  if (error !== undefined) throw error
  return status
}

/** What buf ends with where it has faults of the protos to tell; 1: it could not work. */
const faultsFound = 100

function compare() {
  return buf(['breaking', '--against', baseline, '--exclude-imports'])
}

function check() {
  const isSound = buf(['build']) === 0
  const status = isSound ? compare() : 1
  if (status === 0) return
  process.exitCode = 1
  if (status !== faultsFound) return
  console.error(`
The API in ${promised} breaks with that of the last release, ${baseline}: programs with older stubs would fail.
Add instead of changing: a new field, a new call, a new reason. Where a release is to break on purpose, accept it:

  node scripts/buf-breaking.js --accept
`)
}

function accept() {
  if (existsSync(join(root, baseline)) && compare() === faultsFound)
    console.log('The breaks above are accepted.')
  const wasBuilt = buf(['build', '--path', promised, '--exclude-source-info', '-o', baseline]) === 0
  if (wasBuilt) console.log(`${baseline} holds the API as it is now; commit it with the release.`)
  else process.exitCode = 1
}

const { values } = parseArgs({ options: { accept: { type: 'boolean', default: false } } })
if (values.accept) accept()
else check()
