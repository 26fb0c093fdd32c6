import { defineConfig } from 'vitest/config'

/** Tests of what PostgreSQL does itself; the others need one release at most. */
const ON_EACH_RELEASE = ['test/integration/**/*.test.ts', 'test/e2e/lambda/*.test.ts']

/** Packages of the majors before the newest, which exist for this platform alone. */
const earlier = process.platform === 'linux' && process.arch === 'x64' ? [14, 15, 16, 17] : []

const shared = {
  // Only what hangs comes near them, on the slowest machine too.
  testTimeout: 120_000,
  hookTimeout: 120_000,
  expect: { requireAssertions: true },
}

const onRelease = (name: string, release?: string) => ({
  test: {
    ...shared,
    name,
    include: ON_EACH_RELEASE,
    provide: release === undefined ? {} : { release },
  },
})

export default defineConfig({
  test: {
    globalSetup: ['test/support/temporary.ts'],
    // Most tests wait for PostgreSQL, not for the processor.
    maxWorkers: 3,
    projects: [
      {
        test: {
          ...shared,
          name: 'once',
          // The CDK's check of templates takes seconds for each; `npm run synth` does it.
          env: { CDK_VALIDATION: 'false' },
          include: ['test/**/*.test.ts'],
          exclude: ON_EACH_RELEASE,
        },
      },
      ...earlier.map((major) => onRelease(`postgres-${major}`, `postgres-${major}`)),
      onRelease('postgres-newest'),
    ],
  },
})
