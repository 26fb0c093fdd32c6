import { defineConfig } from 'vitest/config'

/** Tests of PostgreSQL's own behaviour run on each release. All other tests run once. */
const ON_EACH_RELEASE = ['test/integration/**/*.test.ts', 'test/e2e/lambda/*.test.ts']

/** Tests with programs in other languages, which `npm test` leaves out. */
const FOREIGN = ['test/clients/*.test.ts']

/** The synthesis of a thousand targets, which takes half a minute of a core. Only `npm run test:all` runs it. */
const FLEET = ['test/fleet/**/*.test.ts']

/** Tests that wait for a real minute. Only `npm run test:all` runs them, on the newest release. */
const SLOW = ['test/integration/doctor/aged.test.ts', 'test/e2e/drill/nothing-left.test.ts']

/** Older major versions. Their packages exist only for this platform. */
const earlier = process.platform === 'linux' && process.arch === 'x64' ? [14, 15, 16, 17] : []

const shared = {
  // Only a test that hangs takes this long, even on the slowest machine.
  testTimeout: 120_000,
  hookTimeout: 120_000,
  expect: { requireAssertions: true },
}

const onRelease = (name: string, release?: string) => ({
  test: {
    ...shared,
    name,
    include: ON_EACH_RELEASE,
    exclude: SLOW,
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
          // The CDK's validation takes seconds for each template. `npm run synth` runs it instead.
          env: { CDK_VALIDATION: 'false' },
          include: ['test/**/*.test.ts'],
          exclude: [...ON_EACH_RELEASE, ...SLOW, ...FLEET, ...FOREIGN, '**/node_modules/**'],
        },
      },
      { test: { ...shared, name: 'clients', include: FOREIGN } },
      { test: { ...shared, name: 'slow', include: SLOW } },
      {
        test: {
          ...shared,
          name: 'fleet',
          env: { CDK_VALIDATION: 'false' },
          include: FLEET,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      ...earlier.map((major) => onRelease(`postgres-${major}`, `postgres-${major}`)),
      onRelease('postgres-newest'),
    ],
  },
})
