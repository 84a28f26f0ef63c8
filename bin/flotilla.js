#!/usr/bin/env node
import { existsSync } from 'node:fs'

const entry = new URL('../dist/cli/main.js', import.meta.url)
if (existsSync(entry)) {
  const { main } = await import(entry.href)
  await main()
} else {
  process.stderr.write('flotilla: it is not built yet; "npm ci && npm run build" in its folder builds it\n')
  process.exitCode = 1
}
