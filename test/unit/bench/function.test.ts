import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AWS_TRIP_MS, type Cloud, startCloud } from '../../../bench/cloud.ts'
import { runFunction } from '../../../bench/function.ts'
import { longest, readWaits } from '../../../bench/waits.ts'
import { CLIENT_OPTIONS } from '../../../lambda/aws/client-options.ts'
import { CONNECT_TIMEOUT_MS } from '../../../lambda/postgres/gate.ts'

const WARM_SWEEPS = 2
const bundle = 'dist/lambda'
let cloud: Cloud

beforeAll(async () => {
  cloud = await startCloud(bundle, 20)
})

afterAll(() => cloud.stop())

test('the built function sweeps over TLS, with the network as far away as in AWS', async () => {
  const environment = {
    ...cloud.environment,
    SLOTKEEPER_MODE: 'observe',
    SLOTKEEPER_POLICY: 'incident',
  }
  const { firstMs, warmMs, waits, lines } = await runFunction({ bundle, environment }, WARM_SWEEPS)
  expect(warmMs).toHaveLength(WARM_SWEEPS)
  expect(cloud.aws.secretReads).toEqual(['bench'])
  expect(cloud.aws.puts).toHaveLength(1 + WARM_SWEEPS)
  expect(lines.filter((line) => line.includes('"message":"sweep"'))).toHaveLength(1 + WARM_SWEEPS)
  // The connection, TLS and the request take a round trip each, for the secret and for the metrics.
  expect(firstMs).toBeGreaterThan(6 * AWS_TRIP_MS)
  for (const ms of warmMs) expect(ms).toBeGreaterThan(AWS_TRIP_MS)
  const { connectionTimeout, requestTimeout } = CLIENT_OPTIONS.requestHandler
  for (const timeoutMs of [connectionTimeout, requestTimeout, CONNECT_TIMEOUT_MS]) {
    expect(longest(waits, timeoutMs)).toBeGreaterThan(0)
  }
})

test('a function that fails is no measurement', async () => {
  const environment = { ...cloud.environment, SLOTKEEPER_MODE: 'sometimes' }
  await expect(runFunction({ bundle, environment }, 0)).rejects.toThrow('SLOTKEEPER_MODE')
})

describe('waits', () => {
  const waits = [
    { timeoutMs: 1000, tookMs: 20 },
    { timeoutMs: 2000, tookMs: 300 },
    { timeoutMs: 1000, tookMs: 70 },
  ]

  test.each([
    [1000, 70],
    [2000, 300],
    [5000, 0],
  ])('with the time-out %s, the longest took %s ms', (timeoutMs, expected) => {
    expect(longest(waits, timeoutMs)).toBe(expected)
  })

  test('are read from the output of the process, once it has written them', () => {
    expect(readWaits(['{"level":"INFO"}'])).toBeUndefined()
    expect(readWaits(['a line', `WAITS ${JSON.stringify(waits)}`])).toEqual(waits)
  })
})
