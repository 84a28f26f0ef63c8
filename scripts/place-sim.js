// Puts the built simulator into dist/sim. Beside src it says '../src/x', in dist there is no src: the rest lies one step up.
// So it uses the very modules that the package gives its users, and an error that one throws is one that the other knows.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const built = fileURLToPath(new URL('../dist/.sim', import.meta.url))
const place = fileURLToPath(new URL('../dist/sim', import.meta.url))

rmSync(place, { recursive: true, force: true })
for (const file of readdirSync(join(built, 'sim'), { recursive: true, withFileTypes: true })) {
  if (!file.isFile()) continue
  const from = join(file.parentPath, file.name)
  const to = join(place, from.slice(join(built, 'sim').length))
  mkdirSync(dirname(to), { recursive: true })
  writeFileSync(to, readFileSync(from, 'utf8').replaceAll(/(['"])((?:\.\.\/)+)src\//g, '$1$2'))
}
rmSync(built, { recursive: true })
