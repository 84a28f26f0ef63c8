import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

interface PackageJson {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

/** The packages in the table below a heading of docs/dependencies.md. */
function documented(heading: string): string[] {
  const [, section = ''] = read('docs/dependencies.md').split(`## ${heading}\n`)
  const [table = ''] = section.split('\n## ')
  return [...table.matchAll(/^\| `([^`]+)` \| \S.* \| \S.* \|$/gm)].map(([, name = '']) => name)
}

test('every package that is named has its reason and its alternative in the docs, and no other has', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as PackageJson
  expect(documented('Used at run time').toSorted()).toEqual(Object.keys(dependencies).toSorted())
  expect(documented('Used to build, test and check').toSorted()).toEqual(
    Object.keys(devDependencies).toSorted(),
  )
})

test('the Python packages of the stub test are in the docs', () => {
  const pinned = read('test/stubs/python/requirements.txt').matchAll(/^([\w-]+)==[\d.]+$/gm)
  const [, section = ''] = read('docs/dependencies.md').split('## Used by the stub test only\n')
  const names = [...pinned].map(([, name = '']) => name)
  expect(names.length).toBeGreaterThan(0)
  for (const name of names) expect(section).toContain(`\`${name}\``)
})
