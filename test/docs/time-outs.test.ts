import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Result } from '../../bench/table.ts'
import { MEMORY_MB, TIMEOUT_SECONDS } from '../../infra/limits.ts'
import { CLIENT_OPTIONS } from '../../lambda/aws/client-options.ts'
import { PUBLISH_MS } from '../../lambda/handler.ts'
import { QUERY_MS, WARM_QUERY_MS } from '../../lambda/look.ts'
import { CONNECT_TIMEOUT_MS, SWEEP_MS } from '../../lambda/postgres/gate.ts'

const { connectionTimeout, requestTimeout } = CLIENT_OPTIONS.requestHandler
/** The longest pause before the SDK's first retry (DEFAULT_RETRY_DELAY_BASE in @smithy/core). */
const RETRY_PAUSE_MS = 100
const REQUEST_MS = CLIENT_OPTIONS.maxAttempts * requestTimeout + RETRY_PAUSE_MS
const HEADROOM = 3

const [, section = ''] = readFileSync('docs/operations.md', 'utf8').split(
  '## Memory and time-outs\n',
)
const { columns, rows } = JSON.parse(readFileSync('bench/results/lambda.json', 'utf8')) as Result
const longestIn = (name: string) => {
  const column = columns.findIndex((title) => title.startsWith(name))
  return Math.max(...rows.map((row) => Number(row[column])))
}

describe('a time-out is at least three times the longest wait for it, at every size measured', () => {
  test.each([
    ['connect to AWS', connectionTimeout],
    ['request to AWS', requestTimeout],
    ['login or query', CONNECT_TIMEOUT_MS],
  ])('%s', (name, timeoutMs) => {
    expect(longestIn(name)).toBeGreaterThan(0)
    expect(timeoutMs).toBeGreaterThanOrEqual(HEADROOM * longestIn(name))
  })
})

test('the metrics are put or given up within the time reserved for them', () => {
  expect(connectionTimeout).toBeLessThan(requestTimeout)
  expect(PUBLISH_MS - REQUEST_MS).toBeGreaterThan(2_500)
})

test('the second login, after a refused one, begins within the time of the sweep', () => {
  expect(2 * REQUEST_MS + CONNECT_TIMEOUT_MS).toBeLessThan(SWEEP_MS)
})

test('a sweep with its metrics ends before the invocation, and that before the next sweep', () => {
  expect(SWEEP_MS + PUBLISH_MS).toBeLessThan(TIMEOUT_SECONDS * 1000)
  expect(TIMEOUT_SECONDS).toBeLessThan(60)
})

test('docs/operations.md states the time-outs and the default memory', () => {
  const s = (ms: number) => `${ms / 1000} s`
  for (const row of [
    `| connection to an AWS API | ${s(connectionTimeout)}, `,
    `| request to an AWS API, until the response begins | ${s(requestTimeout)}, `,
    `| login at the database, with TLS | ${s(CONNECT_TIMEOUT_MS)} |`,
    `| query over a new connection; over the kept one | ${s(QUERY_MS)}; ${s(WARM_QUERY_MS)} |`,
    `| a sweep as a whole | ${s(SWEEP_MS)} |`,
    `| metrics and log after it | ${s(PUBLISH_MS)} |`,
    `| the invocation | ${TIMEOUT_SECONDS} s |`,
    `**The default is ${MEMORY_MB} MB.**`,
  ]) {
    expect(section).toContain(row)
  }
  expect(rows.some(([memoryMb]) => memoryMb === MEMORY_MB)).toBe(true)
})
