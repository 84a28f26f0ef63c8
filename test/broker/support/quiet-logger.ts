import type { Logger } from '../../../src/env/index.ts'

const nothing = (): void => undefined

export const quietLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => quietLogger,
}
