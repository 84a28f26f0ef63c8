import type { BenchRun, BenchTask } from './bench.ts'
import { runCoreSimulation } from './core/simulation.ts'
import { runSeed } from './simulation.ts'

/** Runs what the benchmark sends, one at a time, and says what each run took. */
process.on('message', (task: BenchTask) => {
  const before = process.cpuUsage()
  void run(task).then((figures) => {
    const { user, system } = process.cpuUsage(before)
    const { maxRSS } = process.resourceUsage()
    const run: BenchRun = {
      ...figures,
      cpuMs: (user + system) / 1000,
      rssBytes: process.memoryUsage.rss(),
      peakRssBytes: maxRSS * 1024,
    }
    process.send?.(run)
  })
})

async function run(task: BenchTask): Promise<Pick<BenchRun, 'events' | 'virtualMs' | 'broken'>> {
  if (task.type === 'core') {
    const { events, virtualMs, violations } = runCoreSimulation(task.seed)
    return { events, virtualMs, broken: violations[0]?.law }
  }
  const { events, virtualMs, violation } = await runSeed(task.seed, task.plan)
  return { events, virtualMs, broken: violation?.law }
}
