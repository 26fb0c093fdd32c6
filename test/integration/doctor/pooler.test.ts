import { describe, expect, test } from 'vitest'
import { diagnose } from '../../../cli/doctor/diagnose.ts'
import { UNPINNED } from '../../../cli/doctor/facts.ts'
import { observe } from '../../../cli/doctor/observe.ts'
import { createGate } from '../../../lambda/postgres/gate.ts'
import { diagnoseAs, found } from '../../support/doctor.ts'
import { pgbouncer, startPgBouncer } from '../../support/pgbouncer.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'

const db = await testServer({ max_connections: '20' })
const reaper = await db.role('reaper', REAPER_ROLES)

describe.skipIf(pgbouncer === undefined)('behind-pooler', () => {
  test('through PgBouncer, the server behind it is shown, and that it is one', async () => {
    const port = await startPgBouncer(pgbouncer ?? '', db.server, reaper, [
      // It refuses these as it is delivered.
      'ignore_startup_parameters = options, statement_timeout',
    ])
    const credentials = { ...db.credentials(reaper), port }
    const watch = async () => {
      const gate = createGate(async () => credentials, false, UNPINNED)
      try {
        return await observe(gate, 'test', 1, new AbortController().signal)
      } finally {
        await gate.close()
      }
    }
    await until(() =>
      watch().then(
        () => true,
        () => false,
      ),
    )
    const diagnosis = diagnose(await watch())
    expect(found(diagnosis, 'behind-pooler')).toMatchObject([{ severity: 'warning' }])
    expect(diagnosis.slots.max).toBe(20)
  })
})

test('without a pooler there is no such finding', async () => {
  expect(found(await diagnoseAs(db, reaper, 1), 'behind-pooler')).toEqual([])
})
