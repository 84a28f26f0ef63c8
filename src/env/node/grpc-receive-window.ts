import type { Http2Server, Settings } from 'node:http2'
import type { Server } from '@grpc/grpc-js'

/**
 * How many bytes a caller may send on one call, and on one connection, before the server has taken them (RFC 9113
 * §5.2). HTTP/2's own 64 KiB make a caller with batches of 1 MiB wait sixteen times for a window, at twice the CPU.
 */
export const STREAM_WINDOW_BYTES = 1024 * 1024
export const CONNECTION_WINDOW_BYTES = 2 * 1024 * 1024

/**
 * grpc-js has an option for a client's windows and none for a server's, so its own fields are set; a test of the
 * settings that a caller is told notices when they move.
 */
interface ServerFields {
  readonly commonServerOptions: { settings?: Settings }
  readonly http2Servers: ReadonlyMap<Http2Server, unknown>
}

/** Before the server is bound. */
export function setStreamWindow(server: Server): void {
  const { commonServerOptions } = server as unknown as ServerFields
  commonServerOptions.settings = {
    ...commonServerOptions.settings,
    initialWindowSize: STREAM_WINDOW_BYTES,
  }
}

/** After the server was bound. */
export function openReceiveWindows(server: Server): void {
  const { http2Servers } = server as unknown as ServerFields
  for (const http2Server of http2Servers.keys()) {
    http2Server.on('session', (session) => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES))
  }
}
