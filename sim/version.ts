import { existsSync, readFileSync } from 'node:fs'

/** That of the package, whether this runs from its sources or as it was built. */
export function packageVersion(): string {
  for (let up = '../'; up.length < 20; up += '../') {
    const file = new URL(`${up}package.json`, import.meta.url)
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
  }
  return 'unknown'
}
