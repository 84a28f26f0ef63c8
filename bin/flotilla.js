#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'

// V8 counts the bytes of buffers against the limit at which it collects everything; with a small heap and megabytes of
// payload passing through, that is several times a second and a third of a leader's CPU. docs/performance.md has the figures.
setFlagsFromString('--heap-growing-percent=1000')

const entry = new URL('../dist/cli/main.js', import.meta.url)
if (existsSync(entry)) {
  const { main } = await import(entry.href)
  await main()
} else {
  process.stderr.write('flotilla: it is not built yet; "npm ci && npm run build" in its folder builds it\n')
  process.exitCode = 1
}
