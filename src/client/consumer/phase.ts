/** Where a member is between its first stream and its end. */
export type Phase =
  | { readonly type: 'idle' }
  | { readonly type: 'waiting'; readonly openAtMs: number }
  | { readonly type: 'joining'; readonly sinceMs: number }
  | { readonly type: 'joined'; readonly confirmByMs: number }
  | { readonly type: 'leaving'; readonly sinceMs: number }
  | { readonly type: 'over'; readonly error: Error | undefined }
