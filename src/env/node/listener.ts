import { lookup } from 'node:dns/promises'
import { createServer, isIP, type Server, type Socket } from 'node:net'
import type { Clock, Logger } from '../env.ts'
import { AddressInUseError, type Listener, type ListenOptions } from '../network.ts'
import { splitAddress } from './address.ts'
import { serveFramed } from './framed/framed-server.ts'
import { PREFACE } from './framed/frames.ts'
import { serveGrpc } from './grpc-server.ts'
import type { ConnectionServer } from './serving.ts'

/** A connection that doesn't say by then what it speaks is closed. */
const PREFACE_MS = 10_000

/** Serves the handlers on `options.address`, without TLS: over gRPC, and server streams in plain frames too. */
export async function listen(options: ListenOptions, clock: Clock, logger: Logger): Promise<Listener> {
  const { host, port } = splitAddress(options.address)
  const grpc = serveGrpc(options, clock, logger)
  const framed = serveFramed(options, clock, logger)
  const server = createServer({ noDelay: true })
  // One address: listening on all addresses of a name, content with some of them, would hide a port that is taken.
  const ip = isIP(host) === 0 ? (await lookup(host)).address : host
  const bound = await open(server, ip, port, options.address)
  const listener = new NodeListener(server, [grpc, framed], `${bracketed(host)}:${bound}`)
  server.on('connection', (socket) => listener.sort(socket, clock, grpc, framed))
  // What went wrong with one connection that was about to be accepted.
  server.on('error', (error) => logger.warn({ err: error }, 'a connection could not be accepted'))
  return listener
}

const bracketed = (host: string): string => (isIP(host) === 6 ? `[${host}]` : host)

function open(server: Server, ip: string, port: number, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void =>
      reject(error.code === 'EADDRINUSE' ? new AddressInUseError(address, { cause: error }) : error)
    server.once('error', refuse)
    server.listen(port, ip, () => {
      server.off('error', refuse)
      const bound = server.address()
      resolve(typeof bound === 'object' && bound !== null ? bound.port : port)
    })
  })
}

class NodeListener implements Listener {
  readonly address: string
  readonly #server: Server
  readonly #servers: readonly ConnectionServer[]
  /** Connections that haven't said yet what they speak. */
  readonly #unsorted = new Set<Socket>()
  #closing: Promise<void> | undefined

  constructor(server: Server, servers: readonly ConnectionServer[], address: string) {
    this.#server = server
    this.#servers = servers
    this.address = address
  }

  /** Hands the connection, with all that has come on it, to the server whose preface it begins with. */
  sort(socket: Socket, clock: Clock, grpc: ConnectionServer, framed: ConnectionServer): void {
    if (this.#closing !== undefined) {
      socket.destroy()
      return
    }
    this.#unsorted.add(socket)
    const giveUp = (): void => void socket.destroy()
    const cancelTimer = clock.setTimer(PREFACE_MS, giveUp)
    const leave = (): void => {
      cancelTimer()
      this.#unsorted.delete(socket)
      socket.off('readable', look).off('end', giveUp).off('error', giveUp).off('close', leave)
    }
    let seen = Buffer.alloc(0)
    const look = (): void => {
      const bytes: Buffer | null = socket.read()
      if (bytes === null) return
      seen = Buffer.concat([seen, bytes])
      const known = Math.min(seen.length, PREFACE.length)
      const isFramed = seen.compare(PREFACE, 0, known, 0, known) === 0
      if (isFramed && known < PREFACE.length) return
      leave()
      socket.unshift(seen)
      const server = isFramed ? framed : grpc
      server.take(socket)
    }
    socket.on('readable', look).on('end', giveUp).on('error', giveUp).on('close', leave)
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  async #close(graceMs: number): Promise<void> {
    const accepted = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#unsorted) socket.destroy()
    await Promise.all([...this.#servers.map((server) => server.close(graceMs)), accepted])
  }
}
