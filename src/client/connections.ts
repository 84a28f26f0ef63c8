import type { Connection, Network } from '../env/index.ts'

/** One connection per address, opened when first used. */
export class Connections {
  readonly #network: Network
  readonly #open = new Map<string, Connection>()

  constructor(network: Network) {
    this.#network = network
  }

  to(address: string): Connection {
    let connection = this.#open.get(address)
    if (connection === undefined) {
      connection = this.#network.connect(address)
      this.#open.set(address, connection)
    }
    return connection
  }

  close(): void {
    for (const connection of this.#open.values()) connection.close()
    this.#open.clear()
  }
}
