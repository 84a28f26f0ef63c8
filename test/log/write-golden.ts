/** Writes the golden folder of the current format; refuses to replace one. `npx tsx test/log/write-golden.ts` */
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeDisk } from '../../src/env/node/disk.ts'
import { openLogStorage } from '../../src/log/index.ts'
import { formatVersion } from '../../src/log/folder.ts'
import { goldenDirectory, goldenText } from './golden-folder.ts'
import { fillFolder } from './stopped-folder.ts'

const folder = join(goldenDirectory, `v${formatVersion}`)
if (existsSync(folder)) throw new Error(`${folder} is there; a golden folder is never written again`)
await mkdir(folder, { recursive: true })
const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }
const env = {
  disk: nodeDisk(),
  clock: { nowMs: () => 0, wallMs: () => 0, setTimer: () => () => undefined, defer() {} },
  random: { below: () => 0, bytes: (count: number) => new Uint8Array(count) },
  logger: silent,
}
const groups = await fillFolder((limits) =>
  openLogStorage(env, folder, { clusterName: 'test', nodeId: 'n1' }, limits),
)
await writeFile(`${folder}.txt`, goldenText(groups))
// What LevelDB writes for people has times and paths in it.
for (const name of ['LOG', 'LOG.old']) await rm(join(folder, 'store', name), { force: true })
