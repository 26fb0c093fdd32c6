import { describe, expect, test } from 'vitest'
import { connect } from '../../../lambda/postgres/connect.ts'
import { pgbouncer, startPgBouncer } from '../../support/pgbouncer.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'

const SOON_MS = 10_000

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)

describe.skipIf(pgbouncer === undefined)('PgBouncer', async () => {
  const port = pgbouncer === undefined ? 0 : await startPgBouncer(pgbouncer, db.server, reaper)
  const login = (changes = {}) =>
    connect({ ...db.credentials(reaper), port, ...changes }, false, 'client', SOON_MS).catch(
      (error) => error,
    )

  test.each<[string, object]>([
    ['with the right password', {}],
    ['with a wrong one', { password: 'hush' }],
    ['with a database that it does not have', { database: 'none' }],
  ])('%s is reported as a pooler', async (_, changes) => {
    await until(async () => !String((await login()).message).includes('ECONNREFUSED'))
    expect(await login(changes)).toMatchObject({
      kind: 'forbidden',
      message: expect.stringMatching(
        /is a pooler such as PgBouncer.*name the server's own endpoint/,
      ),
    })
  })
})

test('without a pooler, the server is reached', async () => {
  const link = await connect(db.credentials(reaper), false, 'client', SOON_MS)
  expect(link.alive()).toBe(true)
  await link.close()
})
