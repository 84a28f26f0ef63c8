import { fork, type ChildProcess } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { HuntOrder, HuntReport, Notice } from './hunter.ts'
import type { Mutant } from './mutant.ts'
import { MutantTree } from './tree.ts'

const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

/** Seeds that a process is sent at a time: those of cores take milliseconds. */
const SEEDS_AT_ONCE = { core: 25, brokers: 1 } as const

export interface HuntOptions {
  readonly firstSeed: number
  /** At most. */
  readonly seeds: number
  readonly jobs: number
  /** A process that says nothing for so long is ended: broken code may go round in circles. */
  readonly silenceMs: number
}

export interface Hunt {
  readonly mutant: Mutant
  /** Undefined: not noticed. */
  readonly notice: Notice | undefined
  /** How many seeds it took, or how many ran in vain. */
  readonly seeds: number
}

/** Looks for the first seed in which a mutant breaks a law. */
export async function hunt(mutant: Mutant, options: HuntOptions): Promise<Hunt> {
  await using tree = await MutantTree.create(mutant)
  const { firstSeed, seeds } = options
  const end = firstSeed + seeds
  let next = firstSeed
  let notice: Notice | undefined
  const take = (): HuntOrder | undefined => {
    if (notice !== undefined || next >= end) return undefined
    const from = next
    next = Math.min(end, from + SEEDS_AT_ONCE[mutant.where])
    return { from, to: next }
  }
  const took = (report: HuntReport): void => {
    // The lowest of those that were found meanwhile: the same whatever the number of processes.
    if (report.notice !== undefined && (notice === undefined || report.notice.seed < notice.seed))
      notice = report.notice
  }
  await Promise.all(
    Array.from({ length: options.jobs }, () => huntInProcess(tree.directory, options.silenceMs, take, took)),
  )
  return { mutant, notice, seeds: notice === undefined ? next - firstSeed : notice.seed - firstSeed + 1 }
}

function huntInProcess(
  directory: string,
  silenceMs: number,
  take: () => HuntOrder | undefined,
  took: (report: HuntReport) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = fork(join(directory, 'sim/mutants/hunter.ts'), [], {
      cwd: directory,
      execArgv: ['--import', loader],
    })
    let order: HuntOrder | undefined
    let timer: NodeJS.Timeout | undefined
    const goOn = (): void => {
      clearTimeout(timer)
      order = take()
      if (order === undefined) {
        child.disconnect()
        return
      }
      child.send(order)
      timer = setTimeout(() => child.kill('SIGKILL'), silenceMs)
    }
    child.on('message', (report: HuntReport) => {
      took(report)
      goOn()
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (code === 0 || order === undefined) resolve()
      else reject(new Error(`the process with seeds from ${order.from} ended with ${code ?? signal}`))
    })
    goOn()
  })
}
