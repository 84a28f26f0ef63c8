import type { Violation } from './checkers/violation.ts'
import type { Plan } from './plan.ts'

/** Tells whether a plan still breaks the law, and how. */
export type Try = (plan: Plan) => Promise<Violation | undefined>

export interface Shrunk {
  readonly plan: Plan
  readonly violation: Violation
  readonly tries: number
}

/**
 * Makes a failing plan small: leaves out whole kinds of faults and work, then single ones, then shortens what is left. Each
 * step is kept if the same law still breaks. Ends when nothing can be left out, or `mayGoOn` says no.
 */
export async function shrink(
  plan: Plan,
  violation: Violation,
  attempt: Try,
  mayGoOn: () => boolean,
): Promise<Shrunk> {
  const shrinker = new Shrinker(plan, violation, attempt, mayGoOn)
  await shrinker.run()
  return { plan: shrinker.plan, violation: shrinker.violation, tries: shrinker.tries }
}

class Shrinker {
  plan: Plan
  violation: Violation
  tries = 0
  readonly #attempt: Try
  readonly #mayGoOn: () => boolean

  constructor(plan: Plan, violation: Violation, attempt: Try, mayGoOn: () => boolean) {
    this.plan = plan
    this.violation = violation
    this.#attempt = attempt
    this.#mayGoOn = mayGoOn
  }

  async run(): Promise<void> {
    await this.#cutOffAfterwards()
    let before: number
    do {
      before = sizeOf(this.plan)
      await this.#withoutKinds('faults')
      await this.#withoutKinds('work')
      await this.#withoutSome('faults')
      await this.#withoutSome('work')
      await this.#withoutSome('groupWork')
      await this.#shorter()
    } while (sizeOf(this.plan) < before && this.#mayGoOn())
  }

  async #keepIf(plan: Plan): Promise<boolean> {
    if (!this.#mayGoOn()) return false
    this.tries++
    const violation = await this.#attempt(plan)
    if (violation?.law !== this.violation.law) return false
    this.plan = plan
    this.violation = violation
    return true
  }

  /** What was to come after the violation had no part in it. */
  async #cutOffAfterwards(): Promise<void> {
    const { plan } = this
    const durationMs = Math.min(plan.durationMs, Math.ceil(this.violation.timeMs))
    await this.#keepIf({
      ...plan,
      durationMs,
      faults: plan.faults.filter(({ atMs }) => atMs <= durationMs),
      work: plan.work.filter(({ atMs }) => atMs <= durationMs),
      groupWork: plan.groupWork.filter(({ atMs }) => atMs <= durationMs),
    })
  }

  async #withoutKinds(list: 'faults' | 'work' | 'groupWork'): Promise<void> {
    for (const kind of new Set(this.plan[list].map((event) => event.kind))) {
      await this.#keepIf({ ...this.plan, [list]: this.plan[list].filter((event) => event.kind !== kind) })
    }
  }

  /** Halves, then quarters, down to single ones (delta debugging). */
  async #withoutSome(list: 'faults' | 'work' | 'groupWork'): Promise<void> {
    for (
      let chunk = Math.ceil(this.plan[list].length / 2);
      chunk >= 1;
      chunk = chunk === 1 ? 0 : Math.ceil(chunk / 2)
    ) {
      for (let at = 0; at < this.plan[list].length && this.#mayGoOn();) {
        const events: readonly unknown[] = this.plan[list]
        const rest = [...events.slice(0, at), ...events.slice(at + chunk)]
        if (!(await this.#keepIf({ ...this.plan, [list]: rest }))) at += chunk
      }
    }
  }

  async #shorter(): Promise<void> {
    for (let at = 0; at < this.plan.faults.length; at++) {
      const fault = this.plan.faults[at]!
      if (fault.forMs < 2) continue
      const faults = this.plan.faults.with(at, { ...fault, forMs: Math.floor(fault.forMs / 2) })
      await this.#keepIf({ ...this.plan, faults })
    }
    if (this.plan.producers > 1) await this.#keepIf({ ...this.plan, producers: 1 })
    if (this.plan.partitions > 1) await this.#keepIf({ ...this.plan, partitions: 1 })
    if (this.plan.members > 1) await this.#keepIf({ ...this.plan, members: this.plan.members - 1 })
    if (this.plan.nodes > 3) await this.#keepIf({ ...this.plan, nodes: 3 })
  }
}

function sizeOf(plan: Plan): number {
  const durations = plan.faults.reduce((sum, { forMs }) => sum + forMs, 0)
  const events = plan.faults.length + plan.work.length + plan.groupWork.length
  return events * 1_000_000 + durations + plan.nodes + plan.partitions + plan.members
}
