import { readFileSync, readdirSync } from 'node:fs'
import { parseAst, transformWithEsbuild } from 'vite'
import { describe, expect, it } from 'vitest'

/** A node of the syntax tree, as far as is looked at here. */
interface Syntax {
  readonly type: string
  readonly [part: string]: unknown
}

interface Counted {
  readonly folder: string
  readonly functions: number
  readonly assertions: number
  readonly ids: readonly string[]
}

/** A function counts where its body has more statements than this, those of inner blocks and functions too, but not assertions. */
const SMALL_STATEMENTS = 4

const isSyntax = (value: unknown): value is Syntax =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'

function childrenOf(node: Syntax): Syntax[] {
  return Object.values(node).flat().filter(isSyntax)
}

function isAssertion(node: Syntax): boolean {
  if (node.type !== 'CallExpression') return false
  const callee = node['callee'] as Syntax
  return callee.type === 'Identifier' && (callee['name'] === 'assert' || callee['name'] === 'broken')
}

function isStatement(node: Syntax): boolean {
  if (node.type === 'BlockStatement') return false
  if (node.type === 'ExpressionStatement' && isAssertion(node['expression'] as Syntax)) return false
  return /Statement$|^VariableDeclaration$/.test(node.type)
}

const count = (node: Syntax, counts: (node: Syntax) => boolean): number =>
  childrenOf(node).reduce((sum, child) => sum + count(child, counts), counts(node) ? 1 : 0)

const isFunction = ({ type }: Syntax): boolean =>
  type === 'FunctionDeclaration' || type === 'FunctionExpression' || type === 'ArrowFunctionExpression'

async function countIn(folder: string): Promise<Counted> {
  const directory = new URL(`../${folder}/`, import.meta.url)
  const ids: string[] = []
  let functions = 0
  let assertions = 0
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.ts'))) {
    const text = readFileSync(new URL(name, directory), 'utf8')
    const { code } = await transformWithEsbuild(text, name, { loader: 'ts', target: 'esnext' })
    const program = parseAst(code) as unknown as Syntax
    functions += count(
      program,
      (node) => isFunction(node) && count(node['body'] as Syntax, isStatement) > SMALL_STATEMENTS,
    )
    assertions += count(program, isAssertion)
    ids.push(
      ...[...code.matchAll(/\b(?:assert|broken)\(\s*[\s\S]*?"((?:raft|log)\.[a-z0-9-]+)"/g)].map(
        ([, id]) => id!,
      ),
    )
  }
  return { folder, functions, assertions, ids }
}

const counted = await Promise.all(['src/raft', 'src/log'].map(countIn))
const sum = (pick: (one: Counted) => number): number => counted.reduce((all, one) => all + pick(one), 0)

describe('assertions in the consensus core and in the log', () => {
  it('are two for each function of more than a few statements, on average', () => {
    expect(sum(({ functions }) => functions)).toBeGreaterThan(200)
    expect(sum(({ assertions }) => assertions) / sum(({ functions }) => functions)).toBeGreaterThanOrEqual(2)
  })

  it.each(counted)('have an id each, so that a report names one place: $folder', ({ ids, assertions }) => {
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([])
    // One that is called with an id that isn't written out would be in no report's index.
    expect(ids.length).toBe(assertions)
  })
})
