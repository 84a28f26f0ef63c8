import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ProgramFailed, runProgram } from './program.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const requirementsFile = fileURLToPath(new URL('python/requirements.txt', import.meta.url))
const environmentFolder = join(root, 'node_modules/.cache/flotilla-stubs')

const oldestPython = [3, 9]
const shortTimeoutMs = 60_000
const installTimeoutMs = 300_000

/** This machine lacks something that the stubs need; the project isn't at fault. */
export class PythonMissing extends Error {
  name = 'PythonMissing'
}

/**
 * A virtual environment with the packages of requirements.txt, made when first needed and kept below node_modules.
 * Rejects with PythonMissing where Python, venv or the packages can't be had.
 * @returns {Promise<{ python: string, version: string }>}
 */
export async function prepareEnvironment() {
  const { version, executable } = await findPython()
  const requirements = await readFile(requirementsFile, 'utf8')
  const recipe = createHash('sha256').update(`${executable}\n${version}\n${requirements}`).digest('hex')
  const recipeFile = join(environmentFolder, 'recipe')
  const python = join(environmentFolder, 'bin/python')
  if ((await readFile(recipeFile, 'utf8').catch(() => '')) === recipe) return { python, version }
  await rm(environmentFolder, { recursive: true, force: true })
  await mkdir(environmentFolder, { recursive: true })
  await need(
    'python3 -m venv fails, for which Debian and Ubuntu have the package python3-venv',
    runProgram('python3', ['-m', 'venv', environmentFolder], { timeoutMs: shortTimeoutMs }),
  )
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary=:all:']
  await need(
    'pip can not install the packages of test/stubs/python/requirements.txt',
    runProgram(python, [...install, '--requirement', requirementsFile], { timeoutMs: installTimeoutMs }),
  )
  // Written last: an environment that was left half made is made anew.
  await writeFile(recipeFile, recipe)
  return { python, version }
}

/** @returns {Promise<{ version: string, executable: string }>} */
async function findPython() {
  const script = 'import sys; print("%d.%d.%d" % sys.version_info[:3]); print(sys.executable)'
  const [version = '', executable = ''] = await need(
    'python3 is not here',
    runProgram('python3', ['-c', script], { timeoutMs: shortTimeoutMs }),
  )
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldestMajor, oldestMinor] = oldestPython
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return { version, executable }
  throw new PythonMissing(`python3 is ${version}, but the packages need ${oldestPython.join('.')} or newer`)
}

/**
 * @template T
 * @param {string} complaint
 * @param {Promise<T>} step
 * @returns {Promise<T>}
 */
async function need(complaint, step) {
  try {
    return await step
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error
    throw new PythonMissing(error.lastLine === '' ? complaint : `${complaint}: ${error.lastLine}`, {
      cause: error,
    })
  }
}

/**
 * Has the standard protobuf compiler make the stubs of flotilla.v1 below `folder`.
 * @param {string} python
 * @param {string} folder
 */
export async function generateStubs(python, folder) {
  const protos = join(root, 'proto')
  const names = (await readdir(join(protos, 'flotilla/v1'))).filter((name) => name.endsWith('.proto'))
  const files = names.map((name) => `flotilla/v1/${name}`)
  await runProgram(
    python,
    [
      '-m',
      'grpc_tools.protoc',
      `--proto_path=${protos}`,
      `--python_out=${folder}`,
      `--grpc_python_out=${folder}`,
      ...files,
    ],
    { timeoutMs: shortTimeoutMs },
  )
}
