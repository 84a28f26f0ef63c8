import { describe, expect, it } from 'vitest'
import { stoppable } from '../../src/cli/input.ts'
import { showProgress } from '../../src/cli/progress.ts'
import { chunksOf, fakeContext } from './fakes.ts'

describe('progress', () => {
  it('writes nothing where there is no terminal', async () => {
    const context = fakeContext()
    using _progress = showProgress(context, context.stderr, () => 'half')
    await context.sleep(5000)
    expect(context.stderr.text).toBe('')
  })

  it('shows a line from two seconds on, cut to the width, and takes it away at the end', async () => {
    const context = fakeContext()
    context.stderr.isTTY = true
    context.stderr.columns = 6
    const progress = showProgress(context, context.stderr, () => 'halfway')
    await context.sleep(1000)
    expect(context.stderr.text).toBe('')
    await context.sleep(1500)
    progress[Symbol.dispose]()
    expect(context.stderr.text).toContain('half…')
    expect(context.stderr.text.endsWith('\r\u001b[2K')).toBe(true)
    const before = context.stderr.text
    await context.sleep(5000)
    expect(context.stderr.text).toBe(before)
  })
})

describe('input that can be stopped', () => {
  const collect = async (source: AsyncIterable<Uint8Array>) => {
    const texts: string[] = []
    for await (const chunk of source) texts.push(Buffer.from(chunk).toString())
    return texts
  }

  it('ends while a piece is awaited that never comes', async () => {
    const stop = new AbortController()
    async function* stuck(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a')
      stop.abort()
      await new Promise(() => undefined)
    }
    expect(await collect(stoppable(stuck(), stop.signal))).toEqual(['a'])
  })

  it('gives nothing where it was stopped before', async () => {
    expect(await collect(stoppable(chunksOf('a'), AbortSignal.abort()))).toEqual([])
  })

  it('passes on everything, and the error', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a')
      throw new Error('broken')
    }
    const signal = new AbortController().signal
    expect(await collect(stoppable(chunksOf('a', 'b'), signal))).toEqual(['a', 'b'])
    await expect(collect(stoppable(broken(), signal))).rejects.toThrow('broken')
  })
})
