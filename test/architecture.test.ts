import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

interface Source {
  /** From the root, with forward slashes. */
  readonly path: string
  readonly text: string
  /** Without comments and the inside of strings, so that words in them don't count. */
  readonly code: string
}

/** Every TypeScript file under a folder of the project. */
function sourcesIn(folder: string): Source[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => {
      const path = relative(ROOT, join(entry.parentPath, entry.name)).replaceAll('\\', '/')
      const text = readFileSync(join(ROOT, path), 'utf8')
      return { path, text, code: withoutWords(text) }
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** Blanks comments and plain strings; of templates the code in `${}` stays. Regular expressions are rare enough to be left. */
function withoutWords(text: string): string {
  return text.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|\$\{[^}]*\}|[^`\\])*`/g,
    (words) =>
      words.startsWith('`')
        ? [...words.matchAll(/\$\{([^}]*)\}/g)].map(([, inside]) => inside).join(' ; ')
        : "''",
  )
}

interface Import {
  readonly specifier: string
  readonly isType: boolean
}

/** What a file imports, re-exports or loads. An import of which every name is `type` counts as one of types. */
function importsOf({ text }: Source): Import[] {
  const uncommented = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/[^\n]*/gm, '')
  const statements = uncommented.matchAll(
    /^(?:import|export)\s+((?:type\s+)?[^;'"]*?)from\s+['"]([^'"]+)['"]/gm,
  )
  const found = [...statements].map(([, names = '', specifier = '']) => ({
    specifier,
    isType: isOfTypes(names),
  }))
  const bare = [...uncommented.matchAll(/^import\s+['"]([^'"]+)['"]/gm)]
  const dynamic = [...uncommented.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g)]
  const others = [...bare, ...dynamic].map(([, specifier = '']) => ({ specifier, isType: false }))
  return [...found, ...others]
}

function isOfTypes(names: string): boolean {
  if (names.startsWith('type ')) return true
  const [, list] = /^\{([\s\S]*)\}\s*$/.exec(names) ?? []
  return (
    list !== undefined &&
    list.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type '))
  )
}

/** `src/raft/types.ts` for `../raft/types.ts`; undefined for a package. */
function targetOf(source: Source, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return relative(ROOT, resolve(ROOT, dirname(source.path), specifier)).replaceAll('\\', '/')
}

/** The folder of src that a path lies in; src/env/node is a folder of its own. */
function layerOf(path: string): string | undefined {
  if (path.startsWith('src/env/node/')) return 'env/node'
  return /^src\/([^/]+)\//.exec(path)?.[1]
}

/** What each folder of src may import besides itself: imports go down only. `types of` allows types alone. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  raft: [],
  env: [],
  'env/node': ['env', 'wire'],
  wire: ['env'],
  log: ['raft', 'env'],
  client: ['env', 'wire'],
  broker: ['log', 'raft', 'wire', 'env'],
  // `flotilla log inspect` reads a folder that no broker has open.
  cli: ['client', 'broker', 'log', 'wire', 'env', 'env/node'],
  testing: ['broker', 'client', 'wire', 'env', 'env/node'],
}

/** Single files that stand at the edge, where the layers are put together. */
const EDGES: Readonly<Record<string, readonly string[]>> = {
  // The package's own entry for users: it gives the client the real network.
  'src/client/index.ts': ['env/node'],
}

/** Packages and modules of Node.js that are no I/O and may be used where nothing else may. */
const PURE_MODULES: Readonly<Record<string, readonly string[]>> = {
  raft: ['node:zlib'],
  log: ['node:zlib'],
  broker: ['node:zlib', 'protobufjs/minimal.js'],
  client: ['node:zlib'],
  // node:url finds the .proto files.
  wire: ['node:zlib', 'node:url', 'protobufjs', 'protobufjs/minimal.js'],
}

interface Ban {
  readonly pattern: RegExp
  readonly because: string
}

const CLOCK = 'time comes from Env.clock, or a simulation could not be the same every time'
/** A Date of a known time is data, and part of the client's face; asking it for the time isn't. */
const NO_DATE: Ban = { pattern: /\bDate\b/, because: CLOCK }
const NO_DATE_OF_NOW: Ban = { pattern: /\bDate\.now\b|\bDate\(\s*\)|\bnew Date(?!\()/, because: CLOCK }
const BANS: readonly Ban[] = [
  { pattern: /\bperformance\b/, because: CLOCK },
  { pattern: /\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/, because: CLOCK },
  { pattern: /\bAbortSignal\.timeout\b/, because: CLOCK },
  {
    pattern: /\bMath\.random\b|\bcrypto\b/,
    because: 'randomness comes from Env.random, or a failing simulation could not be run again',
  },
  { pattern: /\bconsole\./, because: 'what is to be said goes through Env.logger' },
]
const NO_PROCESS: Ban = {
  pattern: /\bprocess\b/,
  because: 'settings come from outside, and a simulated node has no process of its own',
}
const RAFT_BANS: readonly Ban[] = [
  {
    pattern: /\basync\b|\bawait\b|\bPromise\b/,
    because: 'the consensus core is synchronous: one input, one output, no moment in between',
  },
]

const all = sourcesIn('src')
const inside = (layer: string): Source[] => all.filter(({ path }) => layerOf(path) === layer)

describe('the imports of src', () => {
  it('know every folder that is there', () => {
    const layers = new Set(all.map(({ path }) => layerOf(path)))
    expect([...layers].filter((layer) => layer === undefined || MAY_IMPORT[layer] === undefined)).toEqual([])
  })

  it.each(Object.keys(MAY_IMPORT))('of %s go down only', (layer) => {
    const allowed = MAY_IMPORT[layer] ?? []
    const wrong = inside(layer).flatMap((source) =>
      importsOf(source).flatMap(({ specifier }) => {
        const target = targetOf(source, specifier)
        if (target === undefined) return []
        const to = layerOf(target)
        const isAllowed =
          to === layer || (to !== undefined && [...allowed, ...(EDGES[source.path] ?? [])].includes(to))
        return isAllowed
          ? []
          : [`${source.path} imports ${target}, but ${layer} may import ${allowed.join(', ') || 'nothing'}`]
      }),
    )
    expect(wrong).toEqual([])
  })

  it('of log take nothing from the consensus core but its types and its face', () => {
    const wrong = inside('log').flatMap((source) =>
      importsOf(source)
        .map(({ specifier, isType }) => ({ target: targetOf(source, specifier), isType }))
        .filter(({ target, isType }) => target?.startsWith('src/raft/') && !isType)
        .filter(({ target }) => target !== 'src/raft/types.ts' && target !== 'src/raft/index.ts')
        .map(({ target }) => `${source.path} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('of broker reach its neighbours through their face or their types', () => {
    const wrong = inside('broker').flatMap((source) =>
      importsOf(source).flatMap(({ specifier }) => {
        const target = targetOf(source, specifier)
        const isFace = /^src\/(?:raft|log|env|wire)\/(?:index|types|errors|messages)\.ts$/
        const isOutside = target !== undefined && layerOf(target) !== 'broker'
        return isOutside && !isFace.test(target) ? [`${source.path} imports ${target}`] : []
      }),
    )
    expect(wrong).toEqual([])
  })

  it.each(Object.keys(PURE_MODULES))('of %s take no package or module but pure ones', (layer) => {
    const wrong = inside(layer).flatMap((source) => {
      const allowed = PURE_MODULES[layer] ?? []
      return importsOf(source)
        .filter(({ specifier }) => !specifier.startsWith('.') && !allowed.includes(specifier))
        .map(
          ({ specifier }) =>
            `${source.path} imports ${specifier}: I/O comes through Env (src/env), packages through the edges`,
        )
    })
    expect(wrong).toEqual([])
  })
})

describe('the simulator', () => {
  it('imports no package: it is part of what users install, and they have none of ours for development', () => {
    const wrong = sourcesIn('sim').flatMap((source) =>
      importsOf(source)
        .filter(({ specifier }) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
        .map(({ specifier }) => `${source.path} imports ${specifier}`),
    )
    expect(wrong).toEqual([])
  })
})

describe('what reaches the outside', () => {
  it.each(['raft', 'log', 'broker', 'client', 'wire'])('in %s does so through Env alone', (layer) => {
    const ofLayer = [...BANS, layer === 'client' ? NO_DATE_OF_NOW : NO_DATE]
    if (layer === 'raft') ofLayer.push(...RAFT_BANS)
    const wrong = inside(layer).flatMap(({ path, code }) => {
      // At an edge the environment's variables are read.
      const bans = EDGES[path] === undefined ? [...ofLayer, NO_PROCESS] : ofLayer
      return code
        .split('\n')
        .flatMap((line) =>
          bans.filter(({ pattern }) => pattern.test(line)).map(({ because }) => ({ line, because })),
        )
        .map(({ line, because }) => `${path}: ${line.trim()} -- ${because}`)
    })
    expect(wrong).toEqual([])
  })
})

describe('the files of src and sim', () => {
  const files = [...all, ...sourcesIn('sim')]

  it('have at most 500 lines; a longer one is split by role', () => {
    const long = files.map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }))
    expect(long.filter(({ lines }) => lines > 500)).toEqual([])
  })

  it('promise nothing for later: what is missing is in the issues', () => {
    const marked = files.flatMap(({ path, text }) =>
      text
        .split('\n')
        .filter((line) => /\b(?:TODO|FIXME|XXX|HACK)\b/.test(line))
        .map((line) => `${path}: ${line.trim()}`),
    )
    expect(marked).toEqual([])
  })

  it('have no type check switched off', () => {
    const wrong = files.filter(({ text }) => /@ts-(?:ignore|nocheck|expect-error)/.test(text))
    expect(wrong.map(({ path }) => path)).toEqual([])
  })
})

describe('this test', () => {
  const source = (text: string): Source => ({ path: 'src/broker/x.ts', text, code: withoutWords(text) })

  it('sees imports in all their forms', () => {
    const text = [
      "import type { A } from '../a.ts'",
      "import { type B, c } from '../b.ts'",
      "import {\n  type D,\n  type E,\n} from '../d.ts'",
      "export * from '../e.ts'",
      "import 'node:fs'",
      "const f = await import('../f.ts')",
      "// import { g } from '../g.ts'",
    ].join('\n')
    expect(importsOf(source(text))).toEqual([
      { specifier: '../a.ts', isType: true },
      { specifier: '../b.ts', isType: false },
      { specifier: '../d.ts', isType: true },
      { specifier: '../e.ts', isType: false },
      { specifier: 'node:fs', isType: false },
      { specifier: '../f.ts', isType: false },
    ])
  })

  it('sees code and not words', () => {
    const { code } = source("// Date\nconst a = 'Date'\nconst b = `Date ${Math.random()}`\nDate.now()")
    expect(code).not.toContain("'Date'")
    expect(code.match(/Date/g)).toHaveLength(1)
    expect(code).toContain('Math.random')
  })
})
