import { configDefaults, defineConfig } from 'vitest/config'

/** Folders whose tests leave nothing behind in their process: they share one, and so what they import is loaded once. */
const sharing = ['raft', 'wire', 'client', 'broker', 'cli'].map((folder) => `test/${folder}/**/*.test.ts`)

export default defineConfig({
  test: {
    // Two cores: more workers only take turns.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'parts', include: sharing, isolate: false } },
      {
        extends: true,
        test: {
          name: 'whole',
          include: ['test/**/*.test.ts'],
          // What takes minutes: vitest.slow.config.ts.
          exclude: [...configDefaults.exclude, ...sharing, 'test/slow/**'],
        },
      },
    ],
  },
})
