import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { LineTooLongError, splitLines } from '../../src/cli/lines.ts'
import { chunksOf } from './fakes.ts'

async function linesOf(chunks: AsyncIterable<Uint8Array>, limitBytes = 1000): Promise<string[]> {
  const lines: string[] = []
  for await (const { number, bytes } of splitLines(chunks, limitBytes)) {
    expect(number).toBe(lines.length + 1)
    lines.push(Buffer.from(bytes).toString('latin1'))
  }
  return lines
}

describe('cutting input into lines', () => {
  it('stops at a line over the limit, naming it, after the lines before it', async () => {
    const seen: number[] = []
    const reading = (async () => {
      for await (const line of splitLines(chunksOf('one\ntwo\n123456\nfour\n'), 5)) seen.push(line.number)
    })()
    await expect(reading).rejects.toMatchObject({ lineNumber: 3, limitBytes: 5 })
    expect(seen).toEqual([1, 2])
  })

  it('stops at a line over the limit before its end has come', async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield Buffer.alloc(100, 'x')
    }
    await expect(linesOf(endless(), 250)).rejects.toBeInstanceOf(LineTooLongError)
  })

  it('takes a line of exactly the limit, also with CR LF in pieces', async () => {
    expect(await linesOf(chunksOf('12345', '\r', '\n12345'), 5)).toEqual(['12345', '12345'])
  })

  it('counts a last line without an end, and an empty line, but no line after the last end', async () => {
    expect(await linesOf(chunksOf('a\n\nb'))).toEqual(['a', '', 'b'])
    expect(await linesOf(chunksOf('a\n'))).toEqual(['a'])
    expect(await linesOf(chunksOf(''))).toEqual([])
  })

  it('drops a CR before LF only', async () => {
    expect(await linesOf(chunksOf('a\r\nb\rc\r\n\r\nd\r'))).toEqual(['a', 'b\rc', '', 'd\r'])
  })

  test.prop([fc.string({ unit: fc.constantFrom('a', 'b', '\n', '\r') }), fc.array(fc.nat(20))])(
    'gives the same lines however the input comes in pieces',
    async (text, cuts) => {
      const pieces: string[] = []
      let rest = text
      for (const cut of cuts) {
        pieces.push(rest.slice(0, cut))
        rest = rest.slice(cut)
      }
      pieces.push(rest)
      const expected = text
        .split('\n')
        .map((line, index, all) => (index < all.length - 1 ? line.replace(/\r$/, '') : line))
      if (expected.at(-1) === '') expected.pop()
      expect(await linesOf(chunksOf(...pieces))).toEqual(expected)
    },
  )
})
