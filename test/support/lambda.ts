import { afterAll, afterEach, beforeEach, expect } from 'vitest'
import type { Report } from '../../lambda/core/report.ts'
import { startAws } from '../../stand-ins/aws.ts'
import type { Lambda } from '../../stand-ins/lambda.ts'
import { SECRET, secretOf, startFunction } from './function.ts'
import { REAPER_ROLES, testServer, until } from './server.ts'

export const db = await testServer({ max_connections: '12', superuser_reserved_connections: '2' })
export const reaper = await db.role('reaper', REAPER_ROLES)
export const app = await db.role('shop_app')
export const aws = await startAws({})
afterAll(() => aws.close())

export const started: Lambda[] = []
beforeEach(() => {
  aws.secrets.set(SECRET, secretOf(db.server, reaper))
})
afterEach(async () => {
  // Whatever happened, no secret and no query text was written.
  const written = started.flatMap(({ lines }) => lines).join('\n')
  await Promise.all(started.splice(0).map((lambda) => lambda.stop()))
  // Their slots are free for the next one.
  await until(async () => (await ownSessions()) === 0)
  aws.puts.length = 0
  aws.secretReads.length = 0
  expect(written).not.toMatch(/secret of|hush-hush|do not log/)
})

export async function ownSessions(): Promise<number> {
  const { rows } = await db.admin.query(
    "select 1 from pg_stat_activity where application_name = 'slotkeeper'",
  )
  return rows.length
}

export async function start(
  environment: Record<string, string | undefined> = {},
  role = reaper,
): Promise<Lambda> {
  if (role !== reaper) aws.secrets.set(SECRET, secretOf(db.server, role))
  const lambda = await startFunction(aws.url, environment)
  started.push(lambda)
  return lambda
}

export const metric = (name: string) =>
  aws.puts.at(-1)?.MetricData.find(({ MetricName }) => MetricName === name)?.Values

export async function report(lambda: Lambda, event: unknown = {}): Promise<Report> {
  const { ok, payload } = await lambda.invoke(event)
  expect(payload).not.toHaveProperty('errorMessage')
  expect(ok).toBe(true)
  return payload as Report
}

/** The server ends a session a moment after its client. */
export const emptied = () =>
  until(
    async () =>
      (await db.admin.query("select from pg_stat_activity where usename = 'shop_app'")).rowCount ===
      0,
  )
