import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// Hundreds of processes are started, most of them to run the same files.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url))

export default defineConfig({
  test: {
    include: [
      'src/**/*.test.ts',
      'test/**/*.test.ts',
      'bench/**/*.test.ts',
      'legacy-monolith/**/*.test.ts',
      'extracted-services/**/*.test.ts',
    ],
    pool: 'forks',
    maxWorkers: 2,
    // No promise, but an end: what a test promises to happen in time it says itself. A test that has run out of time goes
    // on in the background, and disturbs those after it that share its gateways.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
