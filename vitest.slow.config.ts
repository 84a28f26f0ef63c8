import { defineConfig } from 'vitest/config'

/** What takes minutes: the same laws as in test/, over many more cases. `npm run test:slow` after `npm run build`. */
export default defineConfig({
  test: {
    include: ['test/slow/**/*.test.ts'],
    maxWorkers: 2,
    testTimeout: 580_000,
    hookTimeout: 60_000,
  },
})
