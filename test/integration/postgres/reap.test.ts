import { chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Session } from '../../../lambda/core/session.ts'
import type { ReapVerdict } from '../../../lambda/core/verdict.ts'
import { reap, UNINTERRUPTED_CHECK } from '../../../lambda/postgres/reap.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { freeze } from '../../support/process.ts'
import {
  type OtherSession,
  REAPER_ROLES,
  restart,
  testServer,
  until,
} from '../../support/server.ts'

const REAP_MS = 10_000
const MANY = 60

const db = await testServer({ max_connections: String(MANY + 60) })
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')
await db.trust(app)
const link = await db.link(reaper)

/** The verdicts that a policy would give on these sessions now. */
async function condemn(
  others: OtherSession[],
  action: 'terminate' | 'cancel' = 'terminate',
): Promise<ReapVerdict[]> {
  const { sessions } = await takeSnapshot(link, 5_000)
  return others.map(({ pid }) => {
    const session = sessions.find((session) => session.pid === pid) as Session
    return { verdict: 'reap', session, rule: 'test', action, why: 'test' }
  })
}

test('reports an idle session as reaped only when it has ended', async () => {
  const victim = await db.open(app, 'victim')
  const outcomes = await reap(link, await condemn([victim]), REAP_MS, Date.now())
  expect(outcomes).toEqual([{ outcome: 'reaped' }])
  expect(await db.stateOf(victim.pid)).toBeUndefined()
  await victim.ended
})

test('spares a session that ran a query since the snapshot', async () => {
  const busy = await db.open(app, 'busy')
  const verdicts = await condemn([busy])
  await busy.client.query('select 1')
  expect(await reap(link, verdicts, REAP_MS, Date.now())).toEqual([{ outcome: 'changed' }])
  expect(busy.isAlive()).toBe(true)
})

test('spares a session that began a transaction since the snapshot', async () => {
  const busy = await db.open(app, 'busy')
  const verdicts = await condemn([busy])
  await busy.client.query('begin')
  expect(await reap(link, verdicts, REAP_MS, Date.now())).toEqual([{ outcome: 'changed' }])
  expect(await db.stateOf(busy.pid)).toBe('idle in transaction')
})

test('spares a session that took an advisory lock since the snapshot', async () => {
  const holder = await db.open(app, 'holder', 'select pg_advisory_lock(1)')
  expect(await reap(link, await condemn([holder]), REAP_MS, Date.now())).toEqual([
    { outcome: 'advisoryLock' },
  ])
  expect(holder.isAlive()).toBe(true)
})

test('treats a new process with the same pid as another session', async () => {
  const other = await db.open(app, 'other')
  const [verdict] = await condemn([other])
  const earlier = {
    ...verdict,
    session: { ...verdict?.session, backendStart: '1.000000' },
  } as ReapVerdict
  expect(await reap(link, [earlier], REAP_MS, Date.now())).toEqual([{ outcome: 'gone' }])
  expect(other.isAlive()).toBe(true)
})

test('reports a session that ended by itself as gone', async () => {
  const quick = await db.open(app, 'quick')
  const verdicts = await condemn([quick])
  await quick.client.end()
  await until(async () => (await db.stateOf(quick.pid)) === undefined)
  expect(await reap(link, verdicts, REAP_MS, Date.now())).toEqual([{ outcome: 'gone' }])
})

test('gives each session its own outcome, whichever changed or ended', async () => {
  const sessions = await Promise.all(Array.from({ length: 9 }, () => db.open(app, 'pool')))
  const [, gone, , changed] = sessions as [OtherSession, OtherSession, OtherSession, OtherSession]
  const verdicts = await condemn(sessions)
  await gone.client.end()
  await until(async () => (await db.stateOf(gone.pid)) === undefined)
  await changed.client.query('select 1')
  const outcomes = await reap(link, verdicts, REAP_MS, Date.now())
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(
    sessions.map((session) => {
      if (session === gone) return 'gone'
      return session === changed ? 'changed' : 'reaped'
    }),
  )
  // A client learns of its end after the server reports it.
  await Promise.all(sessions.filter((session) => session !== changed).map(({ ended }) => ended))
  expect(changed.isAlive()).toBe(true)
})

test('allows a check 0.06 ms, and 0.15 us for each connection that there may be', async () => {
  const { rows } = await db.admin.query(
    `select extract(epoch from ${UNINTERRUPTED_CHECK}) * 1000000 as us`,
  )
  expect(Number(rows[0].us)).toBe(60 + 0.15 * (MANY + 60))
})

test('one refusal does not stop the other signals', async () => {
  const before = await db.open(app, 'before')
  const superuser = await db.open(undefined, 'superuser')
  const after = await db.open(app, 'after')
  const outcomes = await reap(link, await condemn([before, superuser, after]), REAP_MS, Date.now())
  expect(outcomes).toEqual([
    { outcome: 'reaped' },
    { outcome: 'refused', sqlstate: '42501', message: expect.stringMatching(/superuser/i) },
    { outcome: 'reaped' },
  ])
  expect(superuser.isAlive()).toBe(true)
})

test('cancels a query and keeps its session', async () => {
  const slow = await db.open(app, 'slow')
  const query = slow.client.query('select pg_sleep(3600)')
  const canceled = expect(query).rejects.toMatchObject({ code: '57014' })
  await until(async () => (await db.stateOf(slow.pid)) === 'active')
  expect(await reap(link, await condemn([slow], 'cancel'), REAP_MS, Date.now())).toEqual([
    { outcome: 'reaped' },
  ])
  await canceled
  expect(slow.isAlive()).toBe(true)
})

test('reports a signalled session that is still there', async () => {
  const stuck = await db.open(app, 'stuck')
  const verdicts = await condemn([stuck])
  try {
    await freeze(stuck.pid)
    expect(await reap(link, verdicts, REAP_MS, Date.now())).toEqual([
      { outcome: 'refused', sqlstate: '00000', message: expect.stringContaining('still there') },
    ])
  } finally {
    process.kill(stuck.pid, 'SIGCONT')
  }
  await stuck.ended
})

test('stops signalling at its deadline and reports the sessions left', async () => {
  const victim = await db.open(app, 'late')
  expect(await reap(link, await condemn([victim]), 4_000, Date.now())).toEqual([
    { outcome: 'unsignalled' },
  ])
  expect(victim.isAlive()).toBe(true)
})

test('without pg_signal_backend, each signal is refused and reported', async () => {
  const powerless = await db.role('powerless', ['pg_monitor'])
  const other = await db.link(powerless)
  const victim = await db.open(app, 'victim')
  expect(await reap(other, await condemn([victim]), REAP_MS, Date.now())).toEqual([
    { outcome: 'refused', sqlstate: '42501', message: expect.any(String) },
  ])
  await other.close()
})

test(`ends ${MANY} sessions in one sweep`, async () => {
  const crowd: OtherSession[] = []
  while (crowd.length < MANY) {
    crowd.push(...(await Promise.all(Array.from({ length: 20 }, () => db.open(app, 'crowd')))))
  }
  const outcomes = await reap(link, await condemn(crowd), REAP_MS, Date.now())
  expect(outcomes).toHaveLength(MANY)
  expect(outcomes.every(({ outcome }) => outcome === 'reaped')).toBe(true)
  await Promise.all(crowd.map(({ ended }) => ended))
})

test('works on a read replica', async () => {
  await link.close()
  await restart(db.server, 'SIGINT', (data) => {
    const file = join(data, 'standby.signal')
    writeFileSync(file, '')
    if (process.getuid?.() === 0) chownSync(file, 65534, 65534)
  })
  await until(() =>
    db.link(reaper).then(
      (link) => link.close().then(() => true),
      () => false,
    ),
  )
  const replica = await db.link(reaper)
  const victim = await db.open(app, 'on the replica')
  const { sessions } = await takeSnapshot(replica, 5_000)
  const session = sessions.find(({ pid }) => pid === victim.pid) as Session
  await expect(victim.client.query('create table t ()')).rejects.toMatchObject({ code: '25006' })
  await db.settled(victim.pid)
  const again = (await takeSnapshot(replica, 5_000)).sessions.find(
    ({ pid }) => pid === victim.pid,
  ) as Session
  expect(again.stateChange).not.toBe(session.stateChange)
  const verdict: ReapVerdict = {
    verdict: 'reap',
    session: again,
    rule: 'test',
    action: 'terminate',
    why: '',
  }
  expect(await reap(replica, [verdict], REAP_MS, Date.now())).toEqual([{ outcome: 'reaped' }])
  await victim.ended
  await replica.close()
})
