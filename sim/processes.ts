import { fork, type ChildProcess } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

const isBuilt = import.meta.url.endsWith('.js')

/** Every core has a process of its own that simulates: threads of V8 beside it only take turns with the others. */
const v8Options = ['--single-threaded']

/** Starts another script of this folder with a channel to it. The sources run as they are; what is built needs no loader. */
export function startProcess(script: 'worker' | 'bench-worker'): ChildProcess {
  const path = fileURLToPath(new URL(`./${script}.${isBuilt ? 'js' : 'ts'}`, import.meta.url))
  const loader = isBuilt
    ? []
    : ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href]
  return fork(path, [], { execArgv: [...v8Options, ...loader] })
}
