import { defineConfig } from 'vitest/config'

/**
 * What takes minutes: the same laws as in test/, over many more cases. `npm run test:slow` runs all of it, with
 * FLOTILLA_SLOW_PERCENT=10 a tenth (.ci/run).
 */
export default defineConfig({
  test: {
    include: ['test/slow/**/*.test.ts'],
    maxWorkers: 2,
    testTimeout: 580_000,
    hookTimeout: 60_000,
  },
})
