import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pages, read, root } from './pages.ts'

const fileBlock = /(<!-- file: (\S+) -->\n```\w+\n)([^]*?)(```\n)/g

describe.each(pages)('%s', (path) => {
  it('shows files as they are (npx vitest run test/docs/snippets.test.ts -u writes them anew)', async () => {
    const page = read(path)
    const filled = page.replaceAll(fileBlock, (_block, head: string, file: string, _old, end: string) => {
      return `${head}${read(file).trimEnd()}\n${end}`
    })
    await expect(filled).toMatchFileSnapshot(join(root, path))
  })

  it('links to what is there', () => {
    const links = [...read(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target)
    const local = links.filter((target) => !/^[a-z]+:/.test(target))
    const missing = local.filter((target) => !existsSync(join(root, dirname(path), target)))
    expect(missing).toEqual([])
  })

  it('links to headings that are there', () => {
    const links = [...read(path).matchAll(/\]\(([^)#\s]*)#([^)]+)\)/g)]
    const missing = links.filter(([, target = '', anchor = '']) => {
      if (/^[a-z]+:/.test(target)) return false
      const page = target === '' ? path : join(dirname(path), target)
      return !anchorsOf(read(page)).includes(anchor)
    })
    expect(missing.map(([link]) => link)).toEqual([])
  })
})

it('sees a block that differs from its file', () => {
  const page = '<!-- file: examples/producer.ts -->\n```ts\nold\n```\n'
  const [, head, file, shown] = [...page.matchAll(fileBlock)][0] ?? []
  expect(head).toContain('<!-- file')
  expect(file).toBe('examples/producer.ts')
  expect(shown).toBe('old\n')
})

it('shows the examples', () => {
  const shown = [...read('README.md').matchAll(fileBlock)].map(([, , file]) => file)
  expect(shown).toEqual([
    'examples/producer.ts',
    'examples/consumer.ts',
    'examples/group.ts',
    'test/stubs/python/producer.py',
    'test/stubs/python/consumer.py',
  ])
})

/** As GitHub makes them from headings. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
