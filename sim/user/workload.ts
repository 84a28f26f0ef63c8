import type { Client } from '../../src/client/index.ts'

/**
 * What a run simulates beside the brokers: processes of a user's own, what they act upon outside of Flotilla, and what must
 * hold. Everything in it is made anew for each run, so that a run follows from its seed alone.
 */
export interface Workload<Outside = undefined> {
  /** Created before the processes start. */
  readonly topics: readonly WorkloadTopic[]
  /** What outlives every process and isn't Flotilla: a bank, a mail server, a database. Made once a run. */
  readonly outside: () => Outside
  /** By name, at most 16. Each is a process on a machine of its own, with a client of its own. */
  readonly processes: Readonly<Record<string, Process<Outside>>>
  /** Names of processes that are never killed; the network between them and the brokers fails all the same. */
  readonly spared?: readonly string[]
  /** Looked at after every act: throws where it does not hold. */
  readonly always?: (outside: Outside) => void
  /**
   * Whether all work is done. Once the faults are over, a majority of nodes and all processes run, this has to come true
   * within 60 virtual seconds.
   */
  readonly isDone: (outside: Outside) => boolean
  /** Looked at when all work is done, with a client that reads what is there: throws where it does not hold. */
  readonly atEnd?: (outside: Outside, client: Client) => void | Promise<void>
}

export interface WorkloadTopic {
  readonly name: string
  /** Default 1. */
  readonly partitions?: number
}

/**
 * One process from its start to its end. It may be killed at any await, then none of its code runs again, and after a while
 * it is started anew, from the beginning and without anything that it held in memory. Returning means that it has nothing
 * more to do. A FlotillaError that it lets out ends it, too, and it is started again; any other error fails the run.
 */
export type Process<Outside = undefined> = (self: Self<Outside>) => Promise<void>

/** What a process has of the world. The real clock, timers and Math.random throw while it runs. */
export interface Self<Outside = undefined> {
  /** "handler#2" is the second life of the process "handler". */
  readonly name: string
  /** The ordinary client, connected to all brokers; it ends with the process. */
  readonly client: Client
  /**
   * Does something outside of Flotilla, and resolves with what comes back. The request takes time there and back: it happens
   * even if the process is killed before it hears of it. Rejects with what `act` throws.
   */
  readonly act: <Result>(what: string, act: (outside: Outside) => Result) => Promise<Result>
  readonly sleep: (ms: number) => Promise<void>
  /** Milliseconds on the process's own clock, which never goes back. */
  readonly nowMs: () => number
  /** By the machine's calendar clock, which faults set forward and back. */
  readonly wallMs: () => number
  /** A whole number from 0 to below the bound. */
  readonly random: (bound: number) => number
  /** A line for the notes and the picture of the run. */
  readonly note: (text: string) => void
}
