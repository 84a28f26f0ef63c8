import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { encodeEnvelope } from '../../src/broker/peers/peer-codec.ts'
import { asGroupId } from '../../src/log/types.ts'
import { asNodeId, asTerm } from '../../src/raft/types.ts'
import type { World } from '../../sim/cluster/world.ts'
import { Recorder } from '../../sim/picture/recorder.ts'
import { script } from '../../sim/picture/page.ts'
import type { Picture } from '../../sim/picture/picture.ts'
import { takePicture, writePicture } from '../../sim/picture/take.ts'
import { drawPlan, type Plan } from '../../sim/plan.ts'
import { runPlan } from '../../sim/simulation.ts'
import { ProducerTable } from '../../src/broker/partition/producers.ts'

/** Where a system's Chromium usually is. */
const chromium = [
  process.env['CHROMIUM_PATH'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
].find((path) => path !== undefined && existsSync(path))
if (chromium === undefined)
  console.log('no Chromium on this machine (CHROMIUM_PATH names one): the picture is not opened in a browser')

const about = { version: '1.2.3', replay: 'npm run sim -- --seed 2 --nodes 3' }
const plan = (seed: number): Plan => drawPlan(seed, { nodes: 3, partitions: 2, members: 0, durationMs: 6000 })

let folder: string
let held: Picture
let broken: Picture
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flotilla-picture-'))
  held = (await takePicture(plan(2), about)).picture
  broken = await pictureOfBroken()
}, 120_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Of a broker that forgets what producers sent: a record is there twice. */
async function pictureOfBroken(): Promise<Picture> {
  const check = vi.spyOn(ProducerTable.prototype, 'check').mockReturnValue({ type: 'next' })
  try {
    for (let seed = 1; seed < 60; seed++) {
      const { picture } = await takePicture(plan(seed), about)
      // The records of a key may also come out of order by it; that is another story.
      if (picture.violations[0]?.law === 'duplicate') return picture
    }
    throw new Error('no record was there twice in 60 seeds')
  } finally {
    check.mockRestore()
  }
}

describe('the picture of a run', () => {
  test('changes nothing about the run', async () => {
    expect(held.digest).toBe((await runPlan(plan(2))).digest)
  })

  test('holds every message from send to arrival, in order', () => {
    expect(held.messages.length).toBeGreaterThan(500)
    const sent = held.messages.map(([at]) => at)
    expect(sent).toEqual(sent.toSorted((left, right) => left - right))
    for (const [at, arrived] of held.messages) expect(arrived < 0 || arrived >= at).toBe(true)
  })

  test('names the partitions, and what happened to each replica', () => {
    expect(held.groups.map(({ name }) => name).slice(0, 3)).toEqual(['metadata', 'orders/0', 'orders/1'])
    const roles = new Set(held.roles.map(([, , , role]) => held.texts[role]))
    expect(roles).toContain('leader')
    expect(roles).toContain('follower')
    expect(held.commits.length).toBeGreaterThan(10)
    expect(held.entries.length).toBeGreaterThan(held.commits.length)
  })

  test('tells of each call what was asked and how it ended', () => {
    const texts = held.calls.map(([, , , , text]) => held.texts[text]!)
    expect(texts.some((text) => /^append to orders\/\d as .*\n→ acknowledged at \d\/\d/.test(text))).toBe(
      true,
    )
    expect(texts.some((text) => text.startsWith('read orders/'))).toBe(true)
  })

  test('of a broken run tells the story of what the law speaks of, up to the violation', () => {
    const violation = broken.violations[0]!
    expect(violation.law).toBe('duplicate')
    const [id = ''] = /[\w.]+:\w+:\d+/.exec(violation.detail) ?? []
    const story = broken.story.map(([, , , text]) => broken.texts[text]!)
    expect(story.some((text) => text.startsWith('append to') && text.includes(id))).toBe(true)
    expect(story.at(-1)).toContain(violation.detail)
  })

  test('is one page that asks nothing of the network', async () => {
    const path = join(folder, 'run.html')
    await writePicture(path, broken)
    const page = await readFile(path, 'utf8')
    expect(page).toContain('<title>Flotilla simulation, seed')
    expect(page).toContain("default-src 'none'")
    expect(page).not.toMatch(/(?:src|href)=/)
    expect(page.match(/<\/script>/g)).toHaveLength(2)
  })

  test('has a script of one piece', () => {
    expect(script()).not.toMatch(/^(?:import|export) /m)
  })
})

describe('a run that is too long for a picture', () => {
  test('keeps votes and what is newest, and says what it left out', () => {
    const timeline = { nowUs: 0 }
    const nodes = [{ id: 'n1' }, { id: 'n2' }]
    const run = { plan: { seed: 1 }, violations: [], trace: { digest: '' } }
    const recorder = new Recorder({ ...run, nodes, timeline, votersOf: new Map() } as unknown as World)
    const [from, to, term] = [asNodeId('n1'), asNodeId('n2'), asTerm(3)]
    const vote = { from, to, term, type: 'voteReply', granted: true } as const
    const bytes = Buffer.from(
      encodeEnvelope({
        nodeId: undefined,
        messages: [{ groupId: asGroupId(0), message: vote }],
        leaders: [],
        quiet: [],
      }),
    )
    const path = '/flotilla.peer.v1.PeerService/Subscribe'
    const call = { callId: 1, path, kind: 'serverStream', timeoutMs: undefined, windowBytes: 1000 } as const
    recorder.sent(1, 'n2', 'n1', { ...call, type: 'call', metadata: new Map() })
    for (; timeline.nowUs < 75_000; timeline.nowUs++) {
      const isVote = timeline.nowUs % 5 !== 0
      recorder.sent(1, 'n1', 'n2', isVote ? { type: 'message', callId: 1, bytes } : { type: 'fin' })
    }
    const { messages, leftOut, texts } = recorder.picture({ ...about, title: '' })
    expect(messages).toHaveLength(40_000)
    expect(texts[messages[0]![5]]).toContain('gives its vote')
    expect(messages.at(-1)![0]).toBe(74_999)
    expect(leftOut.join()).toContain('35001 messages had no room')
  })
})

describe.skipIf(chromium === undefined)('in a browser the picture', { timeout: 120_000 }, () => {
  let browser: Browser
  const problems: string[] = []
  beforeAll(async () => {
    const { chromium: launcher } = await import('playwright-core')
    browser = await launcher.launch({ executablePath: chromium!, args: ['--no-sandbox'] })
  }, 60_000)
  afterAll(() => browser?.close())

  async function open(picture: Picture, colorScheme: 'light' | 'dark' = 'light'): Promise<Page> {
    const path = join(folder, `${picture.seed}-${picture.digest}.html`)
    await writePicture(path, picture)
    const page = await browser.newPage({ viewport: { width: 1400, height: 900 }, colorScheme })
    page.on('pageerror', (error) => problems.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text())
    })
    page.on('request', (request) => {
      if (!/^(?:file|data):/.test(request.url())) problems.push(`asks for ${request.url()}`)
    })
    await page.goto(pathToFileURL(path).href)
    await page.waitForFunction('document.getElementById("canvas").height > 100')
    return page
  }

  const text = (page: Page, selector: string): Promise<string> => page.locator(selector).first().innerText()

  /** How many different colours the canvas holds: more than its background, where something is drawn. */
  const coloursOn = (page: Page): Promise<number> =>
    page.evaluate(`(() => {
      const canvas = document.getElementById('canvas')
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
      const colours = new Set()
      for (let at = 0; at < data.length; at += 4) colours.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2])
      return colours.size
    })()`)

  test('says what broke, and opens where it did', async () => {
    const page = await open(broken)
    expect(await text(page, '#verdict')).toContain('duplicate')
    expect(await text(page, '#replay')).toBe(about.replay)
    expect(await text(page, '#version')).toBe('1.2.3')
    expect(await text(page, 'li.now')).toContain(broken.violations[0]!.detail)
    expect(await coloursOn(page)).toBeGreaterThan(10)
    expect(problems).toEqual([])
    await page.close()
  })

  test('goes back to the violation from anywhere', async () => {
    const page = await open(broken)
    const at = await page.locator('#scrubber').inputValue()
    await page.locator('#story button').first().click()
    // The page paints in the next frame, so what a click or a key does is waited for.
    await expect.poll(() => page.locator('#scrubber').inputValue()).not.toBe(at)
    await page.locator('#to-violation').click()
    await expect.poll(() => page.locator('#scrubber').inputValue()).toBe(at)
    await page.close()
  })

  test('shows what led to what is clicked', async () => {
    const page = await open(broken)
    const box = (await page.locator('#canvas').boundingBox())!
    // On the lane of the first node, near the right edge.
    await page.mouse.click(box.x + box.width * 0.85, box.y + 60)
    await expect.poll(() => text(page, '#selected')).toMatch(/n1 at [\d,.]+ ms/)
    expect(await text(page, '#selected')).toMatch(/Its past: [1-9]\d* messages, (?:[2-9]|1\d) machines/)
    await page.keyboard.press('Escape')
    await expect.poll(() => text(page, '#selected')).toContain('Click a message')
    expect(problems).toEqual([])
    await page.close()
  })

  test('shows one partition alone, its logs at the cursor, and steps through what happened to it', async () => {
    const page = await open(broken)
    await page.locator('#partition').selectOption({ label: 'orders/1' })
    await expect.poll(() => text(page, '#logs-title')).toContain('orders/1')
    expect(await text(page, '#logs')).toMatch(/n1[^]*n2[^]*n3/)
    const cells = await page.locator('#logs td.entry').count()
    await page.locator('#scrubber').fill('0')
    await expect.poll(() => page.locator('#logs td.entry').count()).toBeLessThan(Math.max(1, cells))
    await page.keyboard.press('ArrowRight')
    await expect.poll(async () => Number(await page.locator('#scrubber').inputValue())).toBeGreaterThan(0)
    expect(problems).toEqual([])
    await page.close()
  })

  test('hides and shows kinds of messages', async () => {
    const page = await open(held)
    const before = await coloursOn(page)
    for (const kind of ['replication', 'election', 'snapshot', 'client'])
      await page.locator(`#kinds input[data-kind=${kind}]`).uncheck()
    await expect.poll(() => coloursOn(page)).toBeLessThan(before)
    await page.close()
  })

  test('is dark where the system is', async () => {
    const page = await open(held, 'dark')
    const paper = await page.evaluate('getComputedStyle(document.body).backgroundColor')
    expect(paper).toBe('rgb(18, 22, 28)')
    await page.locator('#theme').click()
    await expect
      .poll(() => page.evaluate('getComputedStyle(document.body).backgroundColor'))
      .toBe('rgb(255, 255, 255)')
    expect(await text(page, '#verdict')).toBe('All laws held')
    expect(problems).toEqual([])
    await page.close()
  })
})
