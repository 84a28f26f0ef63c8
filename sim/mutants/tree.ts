import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { edited, type Mutant } from './mutant.ts'

/** Of the project, also where this is built and lies in its dist; or of the copy that this runs in. */
export const root = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../..' : '../../..', import.meta.url),
)

/** In a copy: holds the name of its mutant. */
const MARK = 'MUTANT'
const copied = ['src', 'sim']
const linked = ['node_modules', 'proto']

/** The mutant that this very code is; undefined in the real project. */
export function ownMutant(): string | undefined {
  const mark = join(root, MARK)
  return existsSync(mark) ? readFileSync(mark, 'utf8') : undefined
}

/** A copy of the sources with a fault in them, to be run in a process of its own. */
export class MutantTree implements AsyncDisposable {
  readonly directory: string

  private constructor(directory: string) {
    this.directory = directory
  }

  static async create(mutant: Pick<Mutant, 'name' | 'edits'>): Promise<MutantTree> {
    const tree = new MutantTree(await mkdtemp(join(tmpdir(), 'flotilla-mutant-')))
    try {
      await tree.#fill(mutant)
    } catch (error) {
      await tree[Symbol.asyncDispose]()
      throw error
    }
    return tree
  }

  async #fill({ name, edits }: Pick<Mutant, 'name' | 'edits'>): Promise<void> {
    const { directory } = this
    for (const folder of copied) await cp(join(root, folder), join(directory, folder), { recursive: true })
    for (const folder of linked) await symlink(join(root, folder), join(directory, folder))
    await cp(join(root, 'package.json'), join(directory, 'package.json'))
    for (const edit of edits) {
      const path = join(directory, edit.file)
      await writeFile(path, edited(await readFile(path, 'utf8'), edit, name))
    }
    await writeFile(join(directory, MARK), name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true })
  }
}
