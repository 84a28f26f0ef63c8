import { configDefaults, defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // What takes minutes: vitest.slow.config.ts.
    exclude: [...configDefaults.exclude, 'test/slow/**'],
    // Two cores: more workers only take turns.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
