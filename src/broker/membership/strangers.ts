import { assert } from '../assert.ts'

/** One of them that answers is enough. */
const MOST_STRANGERS = 8

/** Nodes of the cluster that have dialled in and aren't known here: any of them can say where the others are. */
export class Strangers {
  /** The newest last. */
  readonly addresses = new Set<string>()

  came(address: string): void {
    assert(address !== '', 'strangers.address')
    this.addresses.delete(address)
    this.addresses.add(address)
    for (const oldest of this.addresses) {
      if (this.addresses.size <= MOST_STRANGERS) break
      this.addresses.delete(oldest)
    }
    assert(this.addresses.has(address), 'strangers.newest', address)
  }
}
