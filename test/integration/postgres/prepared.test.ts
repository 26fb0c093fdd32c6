import { expect, test } from 'vitest'
import { connect } from '../../../lambda/postgres/connect.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { REAPER_ROLES, testServer } from '../../support/server.ts'

const MS = 5_000
const db = await testServer({ max_wal_senders: '2' })
const reaper = await db.role('reaper', REAPER_ROLES, 'replication')

const COUNT_PREPARED = 'select count(*)::int as prepared from pg_prepared_statements'

test.each(['client', 'walsender'] as const)(
  'over a %s connection, each statement of a snapshot is prepared once',
  async (entry) => {
    const link = await connect(db.credentials(reaper), false, entry, MS)
    await takeSnapshot(link, MS)
    const [[atFirst]] = (await link.query(COUNT_PREPARED, MS)) as [[{ prepared: number }]]
    const first = await takeSnapshot(link, MS)
    const [[before]] = (await link.query(COUNT_PREPARED, MS)) as [[{ prepared: number }]]
    const opened = await db.open(reaper, 'opened later')
    const second = await takeSnapshot(link, MS)
    const [[after]] = (await link.query(COUNT_PREPARED, MS)) as [[{ prepared: number }]]
    // Until the first answer, a pooler may be there.
    expect(atFirst.prepared).toBe(0)
    expect(before.prepared).toBeGreaterThan(0)
    expect(after).toEqual(before)
    // What is prepared is the statement, not its answer.
    expect(second.sessions.map(({ pid }) => pid)).toContain(opened.pid)
    expect(second.atMs).toBeGreaterThan(first.atMs)
    await opened.client.end()
    await link.close()
  },
)

test('a statement that failed can run again over the same connection', async () => {
  const link = await db.link(reaper)
  const divide = ["select 1 / current_setting('test.by')::int as quotient"]
  await link.run([COUNT_PREPARED], MS)
  await link.query("set test.by to '0'", MS)
  await expect(link.run(divide, MS)).rejects.toMatchObject({ cause: { code: '22012' } })
  await expect(link.run(divide, MS)).rejects.toMatchObject({ cause: { code: '22012' } })
  await link.query("set test.by to '1'", MS)
  expect(await link.run(divide, MS)).toEqual([[{ quotient: 1 }]])
  expect(await link.run([...divide, COUNT_PREPARED], MS)).toMatchObject([[{ quotient: 1 }], [{}]])
  await link.close()
})

test('a right that is revoked later is missed at the next snapshot', async () => {
  const link = await db.link(reaper)
  await takeSnapshot(link, MS)
  await db.admin.query('revoke execute on function pg_catalog.octet_length(text) from public')
  try {
    await expect(takeSnapshot(link, MS)).rejects.toMatchObject({ cause: { code: '42501' } })
  } finally {
    await db.admin.query('grant execute on function pg_catalog.octet_length(text) to public')
  }
  await takeSnapshot(link, MS)
  await link.close()
})
