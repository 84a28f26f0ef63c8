import type { MethodKind, StatusCode } from '../../../src/env/index.ts'

/** What travels over a connection. Messages are the bytes that the real codecs write. */
export type Frame =
  | {
      readonly type: 'call'
      readonly callId: number
      readonly path: string
      readonly kind: MethodKind
      readonly timeoutMs: number | undefined
      readonly metadata: ReadonlyMap<string, string>
      /** The client's receive window for this call. */
      readonly windowBytes: number
    }
  | { readonly type: 'message'; readonly callId: number; readonly bytes: Buffer }
  /** The caller will send no more. */
  | { readonly type: 'end'; readonly callId: number }
  | {
      readonly type: 'status'
      readonly callId: number
      readonly code: StatusCode
      readonly message: string
      readonly details: Uint8Array | undefined
      /** The server never looked at the call (REFUSED_STREAM, RFC 9113, 8.7). */
      readonly refused: boolean
    }
  | { readonly type: 'cancel'; readonly callId: number }
  /** The receiver has taken so many bytes more (WINDOW_UPDATE, RFC 9113, 6.9). */
  | { readonly type: 'window'; readonly callId: number; readonly bytes: number }
  /** The server takes no new calls on this connection, and has not looked at any after this one (RFC 9113, 6.8). */
  | { readonly type: 'goaway'; readonly lastCallId: number }
  | { readonly type: 'ping' }
  | { readonly type: 'pong' }
  /** The process that held the other end is gone; what it sent came before this. */
  | { readonly type: 'fin' }

export function sizeOf(frame: Frame): number {
  switch (frame.type) {
    case 'message':
      return frame.bytes.length + 14
    case 'call':
      return 80
    case 'status':
      return 60 + frame.message.length + (frame.details?.length ?? 0)
    case 'end':
    case 'cancel':
    case 'window':
    case 'goaway':
    case 'ping':
    case 'pong':
    case 'fin':
      return 20
  }
}
