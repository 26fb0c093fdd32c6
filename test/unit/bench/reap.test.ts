import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { reapOnce } from '../../../bench/reap.ts'
import { driver, type Prepare, slotkeeper } from '../../../bench/reapers.ts'
import { type BenchServer, benchServer } from '../../../bench/server.ts'
import { until } from '../../support/until.ts'

const CROWD = 7
let db: BenchServer

beforeAll(async () => {
  db = await benchServer({})
})

afterAll(() => db.stop())

const sessionsLeft = async () => {
  const { rows } = await db.admin.query("select 1 from pg_stat_activity where usename = 'shop_app'")
  return rows.length
}

describe('a reap ends when the last client has seen its socket close', () => {
  test.each<[string, Prepare]>([
    ['one statement', driver],
    ['Slotkeeper', slotkeeper],
  ])('%s', async (_, prepare) => {
    const { ms, firstMs, backendMs, passes } = await reapOnce(db, CROWD, prepare)
    expect(firstMs).toBeGreaterThan(0)
    expect(ms).toBeGreaterThanOrEqual(firstMs)
    expect(backendMs).toBeGreaterThan(0)
    expect(passes).toBe(1)
    expect(await sessionsLeft()).toBe(0)
  })

  test('with one session left it has not ended', async () => {
    const held = await db.hold(2)
    let closed = false
    const closing = held.closed.then(() => {
      closed = true
    })
    await db.admin.query(
      "select pg_terminate_backend(min(pid)) from pg_stat_activity where usename = 'shop_app'",
    )
    await until(async () => (await sessionsLeft()) === 1)
    expect(closed).toBe(false)
    await held.drop()
    await closing
    const { firstNs, lastNs } = await held.closed
    expect(BigInt(lastNs)).toBeGreaterThan(BigInt(firstNs))
    await db.untilNoneIsLeft()
  })
})
