import { InvalidArgumentError, Option, type Command } from 'commander'
import { LIMITS } from '../../wire/limits.ts'
import type { CliContext } from '../context.ts'
import { CommandFailure, wrongUse } from '../failure.ts'
import { formatCount } from '../format.ts'
import { addressFault, leafCommand, nonEmpty, withOutput, wholeNumber, type OutputFlags } from '../options.ts'
import { printAnswer } from '../print.ts'
import { parseAmount } from './amount.ts'
import { benchAppend, type BenchContext } from './append.ts'
import type { ClusterChoice } from './bench-cluster.ts'
import { benchFailover } from './failover.ts'
import { followerAnswer } from './follower-report.ts'
import { benchFollower } from './follower.ts'
import { benchGroup } from './group.ts'
import { groupAnswer } from './group-report.ts'
import { benchGuard } from './guard.ts'
import { guardAnswer } from './guard-report.ts'
import { benchIdle } from './idle.ts'
import { stampBytes } from './payloads.ts'
import { benchRead } from './read.ts'
import { idleAnswer } from './idle-report.ts'
import { appendAnswer, failoverAnswer, readAnswer, tailAnswer } from './report.ts'
import { scaleAnswer } from './scale-report.ts'
import { benchScale } from './scale.ts'
import { registerAll } from './suite-command.ts'
import { batchedInFlight, followerPatienceMs } from './suite.ts'
import { benchTail } from './tail.ts'
import { inFlightBound } from './targets.ts'

interface CommonFlags extends OutputFlags {
  readonly data?: string
  readonly size: number
  readonly partitions: number
  readonly runs: number
}
interface ClusterFlags {
  readonly bootstrap?: string
}
interface AppendFlags extends CommonFlags, ClusterFlags {
  readonly mode: 'batched' | 'single'
  readonly inFlight?: number
  readonly rate?: number
  readonly durationS: number
  readonly warmupS: number
}
interface ReadFlags extends CommonFlags, ClusterFlags {
  readonly preloadMb: number
  readonly readers: number
  readonly tail?: boolean
  readonly rate: number
  readonly durationS: number
  readonly warmupS: number
}
interface FailoverFlags extends CommonFlags {
  readonly rate: number
  readonly killAfterS: number
  readonly durationS: number
}
interface IdleFlags extends OutputFlags {
  readonly data?: string
  readonly groups: number
  readonly settleS: number
  readonly durationS: number
}
interface GroupFlags extends CommonFlags, ClusterFlags {
  readonly members: number
  readonly preloadMb: number
  readonly rate: number
  readonly takeOvers: number
  readonly idleGroups: number
  readonly idleOnly?: boolean
}
interface ScaleFlags extends OutputFlags {
  readonly data?: string
  readonly records: number
  readonly storedMb: number
  readonly runs: number
}
interface GuardFlags extends OutputFlags {
  readonly data?: string
}
interface FollowerFlags extends OutputFlags {
  readonly data?: string
  readonly size: number
  readonly missed: number
  readonly runs: number
  readonly durationS: number
  readonly warmupS: number
}

const maxValueBytes = LIMITS.maxRecordBytes - 64
const maxRate = 10_000_000
const maxSeconds = 3600
/** V8 compiles for seconds after a process has begun to work. */
const defaultWarmupSeconds = 6

const helpText = `
Without --bootstrap three nodes are started, each in a process of its own, on free ports of 127.0.0.1, with data in a
folder that is removed afterwards. Replication factor 3; every acknowledged record is synced to disk by a majority.
The client is the process of the benchmark itself. What is measured, and how: docs/performance.md.`

export function registerBench(program: Command, context: CliContext): void {
  const bench = program.command('bench').description('measure what a cluster does on this machine')
  const world = benchContext(context, program.version() ?? 'unknown')
  registerAppend(bench, world)
  registerRead(bench, world)
  registerFailover(bench, world)
  registerFollower(bench, world)
  registerGroup(bench, world)
  registerIdle(bench, world)
  registerScale(bench, world)
  registerGuard(bench, world)
  registerAll(bench, world)
}

function benchContext(context: CliContext, version: string): BenchContext {
  return {
    context,
    version,
    network: async () => (await import('../../env/node/index.ts')).nodeEnv({ level: 'silent' }).network,
  }
}

function registerAppend(bench: Command, world: BenchContext): void {
  const command = leafCommand(bench, 'append', 'append as fast as it goes, or at a fixed rate')
    .addOption(
      new Option('--mode <mode>', "batched: the client's producer; single: a request for each record")
        .choices(['batched', 'single'])
        .default('batched'),
    )
    .option(
      '--in-flight <n>',
      'records without an acknowledgement at once (default: 256 with single; 16384 or 8 MiB with batched)',
      wholeNumber(1, 1_000_000),
    )
    .option(
      '--rate <n>',
      'records a second, whatever the answers do; latency counts from the time at which each was due',
      wholeNumber(1, maxRate),
    )
  withTimes(withBootstrap(withCommon(command, 0, 1024)), 10).action((flags: AppendFlags) =>
    append(world, flags),
  )
}

async function append(world: BenchContext, flags: AppendFlags): Promise<void> {
  const { context } = world
  const { mode, size, partitions, runs, rate } = flags
  const report = await benchAppend(world, choiceOf(flags), {
    mode,
    sizeBytes: size,
    partitions,
    inFlight: inFlightOf(flags),
    ...(rate !== undefined && { ratePerSecond: rate }),
    durationMs: flags.durationS * 1000,
    warmupMs: flags.warmupS * 1000,
    runs,
  })
  printAnswer(context, flags.output, appendAnswer(report))
}

function inFlightOf({ mode, size, inFlight, rate }: AppendFlags): number {
  switch (mode) {
    case 'single':
      // A rate that can't be held shows in the latency, not in what leaves.
      return inFlight ?? (rate === undefined ? 256 : inFlightBound(size))
    case 'batched': {
      const bound = inFlightBound(size)
      if (inFlight !== undefined && inFlight > bound) {
        throw wrongUse(
          `error: the producer has room for ${formatCount(bound)} records of ${formatCount(size)} bytes at once; choose a lower --in-flight`,
        )
      }
      return inFlight ?? (rate === undefined ? batchedInFlight(size) : bound)
    }
  }
}

function registerRead(bench: Command, world: BenchContext): void {
  const command = leafCommand(bench, 'read', 'read old records, or follow the tail')
    .option(
      '--preload-mb <n>',
      'how much is appended before it is read, in 10⁶ bytes',
      wholeNumber(1, 100_000),
      256,
    )
    .option('--readers <n>', 'readers at once; without --tail also 1, 2, 4 … below it', wholeNumber(1, 64), 4)
    .option('--tail', 'follow the tail while records come in, and show how far behind the readers are')
    .option('--rate <n>', 'with --tail: records a second', wholeNumber(1, maxRate), 5000)
  withTimes(withBootstrap(withCommon(command, stampBytes, 1024)), 10).action((flags: ReadFlags) =>
    read(world, flags),
  )
}

async function read(world: BenchContext, flags: ReadFlags): Promise<void> {
  const { size, partitions, readers, runs } = flags
  if (flags.tail === true) {
    const report = await benchTail(world, choiceOf(flags), {
      sizeBytes: size,
      partitions,
      readers,
      ratePerSecond: flags.rate,
      durationMs: flags.durationS * 1000,
      warmupMs: flags.warmupS * 1000,
      runs,
    })
    printAnswer(world.context, flags.output, tailAnswer(report))
    return
  }
  const report = await benchRead(world, choiceOf(flags), {
    sizeBytes: size,
    partitions,
    preloadBytes: flags.preloadMb * 1e6,
    readers: readerCounts(readers),
    runs,
  })
  printAnswer(world.context, flags.output, readAnswer(report))
}

/** 1, 2, 4 … up to `most`, and `most` itself. */
export function readerCounts(most: number): number[] {
  const counts: number[] = []
  for (let count = 1; count < most; count *= 2) counts.push(count)
  return [...counts, most]
}

function registerFailover(bench: Command, world: BenchContext): void {
  const command = leafCommand(
    bench,
    'failover',
    'kill a leader under load; exit code 1 if a record was lost or doubled',
  )
    .option('--rate <n>', 'records a second', wholeNumber(1, maxRate), 1000)
    .option('--kill-after-s <n>', 'seconds before the leader is killed', wholeNumber(1, maxSeconds), 5)
    .option('--duration-s <n>', 'seconds of load in all', wholeNumber(2, maxSeconds), 20)
  withCommon(command, stampBytes, 1024).action((flags: FailoverFlags) => failover(world, flags))
}

async function failover(world: BenchContext, flags: FailoverFlags): Promise<void> {
  const { size, partitions, rate, killAfterS, durationS, runs } = flags
  if (killAfterS >= durationS) {
    throw wrongUse(
      `error: the leader is killed after ${killAfterS} s, when the load of ${durationS} s is over; choose a lower --kill-after-s`,
    )
  }
  const report = await benchFailover(world, flags.data, {
    sizeBytes: size,
    partitions,
    ratePerSecond: rate,
    killAfterMs: killAfterS * 1000,
    durationMs: durationS * 1000,
    runs,
  })
  printAnswer(world.context, flags.output, failoverAnswer(report))
  if (!report.flawless) throw notFlawless()
}

function registerFollower(bench: Command, world: BenchContext): void {
  const command = leafCommand(
    bench,
    'follower',
    'a follower returns that was away: what appends lose while it catches up, and for how long',
  )
    .option('--missed <bytes>', 'what is appended while it is away, as 500MB or 5GB', parseAmount, 5e9)
    .option('--size <bytes>', "of a record's value", wholeNumber(1, maxValueBytes), 1024)
    .option('--runs <n>', 'the one in the middle is quoted', wholeNumber(1, 100), 1)
    .option('--data <dir>', 'where the nodes keep their data', nonEmpty)
  withTimes(withOutput(command), 10)
    .addHelpText('after', helpText)
    .action(async ({ size, missed, runs, durationS, warmupS, data, output }: FollowerFlags) => {
      const report = await benchFollower(world, data, {
        sizeBytes: size,
        inFlight: batchedInFlight(size),
        missedBytes: missed,
        beforeMs: durationS * 1000,
        warmupMs: warmupS * 1000,
        patienceMs: followerPatienceMs,
        runs,
      })
      printAnswer(world.context, output, followerAnswer(report))
    })
}

function registerGroup(bench: Command, world: BenchContext): void {
  const command = leafCommand(
    bench,
    'group',
    'consumer groups: throughput, commits, one more member, one killed, a thousand idle ones',
  )
    .option('--members <n>', 'of the group, all in this process', wholeNumber(1, 64), 4)
    .option('--preload-mb <n>', 'how much is appended before, in 10⁶ bytes', wholeNumber(1, 100_000), 256)
    .option(
      '--rate <n>',
      'records a second while another one joins or one is killed',
      wholeNumber(1, maxRate),
      2000,
    )
    .option(
      '--take-overs <n>',
      'how often a member in a process of its own is killed',
      wholeNumber(0, 100),
      3,
    )
    .option('--idle-groups <n>', 'groups in which nothing happens', wholeNumber(0, 1000), 1000)
    .option('--idle-only', 'measure these alone')
  withBootstrap(withCommon(command, stampBytes, 1024, 16)).action(async (flags: GroupFlags) => {
    const { size, partitions, members, preloadMb, rate, idleGroups, idleOnly = false } = flags
    const report = await benchGroup(world, choiceOf(flags), {
      sizeBytes: size,
      partitions,
      members,
      preloadBytes: preloadMb * 1e6,
      ratePerSecond: rate,
      runs: idleOnly ? 0 : flags.runs,
      takeOvers: idleOnly ? 0 : flags.takeOvers,
      idleGroups,
    })
    printAnswer(world.context, flags.output, groupAnswer(report))
  })
}

function registerIdle(bench: Command, world: BenchContext): void {
  const command = leafCommand(
    bench,
    'idle',
    'thousands of groups in which nothing happens: CPU, memory, starts',
  )
    .option('--groups <n>', 'partitions, each with a replica on every node', wholeNumber(1, 10_000), 10_000)
    .option('--settle-s <n>', 'seconds before each measurement', wholeNumber(0, maxSeconds), 30)
    .option('--duration-s <n>', 'seconds that are measured', wholeNumber(1, maxSeconds), 30)
    .option(
      '--data <dir>',
      'where the nodes keep their data (default: the folder for temporary files)',
      nonEmpty,
    )
  withOutput(command).action(async (flags: IdleFlags) => {
    const { groups, settleS, durationS } = flags
    const settings = { groups, settleMs: settleS * 1000, durationMs: durationS * 1000 }
    printAnswer(world.context, flags.output, idleAnswer(await benchIdle(world, flags.data, settings)))
  })
}

function registerScale(bench: Command, world: BenchContext): void {
  const command = leafCommand(
    bench,
    'scale',
    'what a record costs with ten times the partitions, records, readers, stored bytes',
  )
    .option('--records <n>', 'the fewest that a topic holds', wholeNumber(1000, 100_000_000), 200_000)
    .option('--stored-mb <n>', 'the least that a topic holds, in 10⁶ bytes', wholeNumber(10, 1_000_000), 200)
    .option('--runs <n>', 'of each amount; the one in the middle counts', wholeNumber(1, 100), 3)
    .option('--data <dir>', 'where the nodes keep their data', nonEmpty)
  withOutput(command).action(async ({ records, storedMb, runs, data, output }: ScaleFlags) => {
    const settings = { records, storedBytes: storedMb * 1e6, runs }
    printAnswer(world.context, output, scaleAnswer(await benchScale(world, data, settings)))
  })
}

function registerGuard(bench: Command, world: BenchContext): void {
  const command = leafCommand(
    bench,
    'guard',
    'exit code 1 if appends are much slower than what they stand on',
  ).option('--data <dir>', 'where the nodes keep their data', nonEmpty)
  withOutput(command).action(async (flags: GuardFlags) => {
    const report = await benchGuard(world, flags.data)
    printAnswer(world.context, flags.output, guardAnswer(report))
    if (report.passed) return
    const slow = report.results.filter(({ passed }) => !passed).map(({ name }) => name)
    throw new CommandFailure(`much slower than what it stands on: ${slow.join('; ')}`)
  })
}

function notFlawless(): CommandFailure {
  return new CommandFailure('what was read back is not what was acknowledged')
}

function withCommon(
  command: Command,
  leastBytes: number,
  defaultBytes: number,
  defaultPartitions = 1,
): Command {
  return withOutput(
    command
      .option('--size <bytes>', "of a record's value", wholeNumber(leastBytes, maxValueBytes), defaultBytes)
      .option('--partitions <n>', 'records go to each in turn', wholeNumber(1, 1024), defaultPartitions)
      .option('--runs <n>', 'the one in the middle is quoted', wholeNumber(1, 100), 3)
      .option(
        '--data <dir>',
        'where the nodes keep their data (default: the folder for temporary files)',
        nonEmpty,
      ),
  ).addHelpText('after', helpText)
}

function withTimes(command: Command, seconds: number): Command {
  return command
    .option('--duration-s <n>', 'seconds that are measured', wholeNumber(1, maxSeconds), seconds)
    .option('--warmup-s <n>', 'seconds before that', wholeNumber(0, maxSeconds), defaultWarmupSeconds)
}

/** FLOTILLA_BOOTSTRAP doesn't count here: a load goes nowhere by accident. */
function withBootstrap(command: Command): Command {
  return command.option(
    '--bootstrap <HOST:PORT,...>',
    'put the load on a cluster that runs already (FLOTILLA_BOOTSTRAP is not used)',
    parseAddresses,
  )
}

function parseAddresses(text: string): string {
  for (const address of text.split(',')) {
    const fault = addressFault(address.trim(), 1)
    if (fault !== undefined) throw new InvalidArgumentError(`${JSON.stringify(address)}: ${fault}.`)
  }
  return text
}

function choiceOf({
  bootstrap,
  data,
}: {
  readonly bootstrap?: string
  readonly data?: string
}): ClusterChoice {
  return { ...(bootstrap !== undefined && { bootstrap }), ...(data !== undefined && { data }) }
}
