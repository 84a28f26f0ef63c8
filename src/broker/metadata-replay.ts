import type { Replica } from './replica.ts'

/**
 * After a start the metadata group's log is folded again from the stored state on, and what is folded is how things once
 * were. Until all is folded that the start found, a partition that was given up since looks like one to be hosted, and one
 * that came back like one to be given up: hosted anew, it would vote in terms that it has forgotten, and given up, it would
 * take what the group counts on. What was carried out was committed before, so it lies within what the start found.
 */
export class MetadataReplay {
  readonly #replica: () => Replica
  /** The last index of the metadata group's log as the start found it; 0 on an empty disk. */
  readonly #foundIndex: number
  #isOver = false

  constructor(foundIndex: number, replica: () => Replica) {
    this.#foundIndex = foundIndex
    this.#replica = replica
  }

  get isOver(): boolean {
    if (this.#isOver) return true
    const replica = this.#replica()
    // A leader may have cut the end of the log off; what was carried out can't have been in it.
    this.#isOver = replica.foldedIndex >= Math.min(this.#foundIndex, replica.status().last.index)
    return this.#isOver
  }
}
