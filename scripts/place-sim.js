// Puts the built simulator into dist/sim. Beside src it says '../src/x', in dist there is no src: the rest lies one step up.
// So it uses the very modules that the package gives its users, and an error that one throws is one that the other knows.
// A file that is the same stays as it is: a swarm may be running from there, and it starts workers as it goes.
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const built = fileURLToPath(new URL('../dist/.sim', import.meta.url))
const place = fileURLToPath(new URL('../dist/sim', import.meta.url))

/** Names below a folder, with their folders. */
function filesIn(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

const names = filesIn(join(built, 'sim'))
for (const name of names) {
  const to = join(place, name)
  const text = readFileSync(join(built, 'sim', name), 'utf8').replaceAll(/(['"])((?:\.\.\/)+)src\//g, '$1$2')
  if (existsSync(to) && readFileSync(to, 'utf8') === text) continue
  mkdirSync(dirname(to), { recursive: true })
  writeFileSync(`${to}.new`, text)
  renameSync(`${to}.new`, to)
}
const wanted = new Set(names)
for (const name of filesIn(place)) if (!wanted.has(name)) rmSync(join(place, name))
rmSync(built, { recursive: true })
