import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { FUNCTIONS, grantUsable, RELATIONS } from '../../../lambda/postgres/rights.ts'
import { provide, readServerKind } from '../../../lambda/postgres/role.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { MAJOR, REAPER_ROLES, testServer } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const db = await testServer({ max_connections: '40' })
const superuser = { user: 'postgres', password: db.server.password }
const app = await db.role('shop_app')
await db.trust(app)
const ALL_IDLE = policy({
  scope: { users: [app.user] },
  rules: [{ name: 'all', state: 'idle', olderThan: '0s' }],
})

/** A sweep as a role that comes in anew. */
async function sweepAs(
  role: { user: string; password: string },
  mode: 'reap' | 'observe' = 'reap',
) {
  const gate = createGate(async () => db.credentials(role), false)
  try {
    const order = { target: 'test', policy: ALL_IDLE, mode }
    return (await sweep(gate, order, deadlineIn(SWEEP_MS))).report
  } finally {
    await gate.close()
  }
}

const RIGHTS = [
  ...FUNCTIONS.map((name) => `EXECUTE ON FUNCTION pg_catalog.${name}`),
  ...RELATIONS.map((name) => `SELECT ON pg_catalog.${name}`),
  'USAGE ON LANGUAGE plpgsql',
]

describe('a server that revoked rights from PUBLIC', () => {
  let reaper: { user: string; password: string }
  beforeAll(async () => {
    reaper = await db.role('reaper', REAPER_ROLES)
  })

  test.each(RIGHTS)(
    '%s: the error names the grant, nothing is ended, and the grant mends it',
    async (right) => {
      const victim = await db.open(app, 'victim')
      await db.admin.query(`revoke ${right} from public`)
      for (const mode of ['observe', 'reap'] as const) {
        await expect(sweepAs(reaper, mode)).rejects.toMatchObject({
          kind: 'rights',
          message: expect.stringContaining(`: GRANT ${right} TO "reaper";`),
        })
      }
      expect(victim.isAlive()).toBe(true)
      await db.admin.query(`grant ${right} to reaper`)
      expect((await sweepAs(reaper)).reaped).toMatchObject([{ pid: victim.pid }])
      await victim.ended
      await db.admin.query(`grant ${right} to public`)
      await db.admin.query(`revoke ${right} from reaper`)
    },
  )

  test('reports all missing rights at once', async () => {
    const victim = await db.open(app, 'victim')
    for (const right of RIGHTS) await db.admin.query(`revoke ${right} from public`)
    const error = await sweepAs(reaper).catch((error: unknown) => error)
    for (const right of RIGHTS) expect(String(error)).toContain(`GRANT ${right} TO "reaper";`)
    await victim.client.end()
  })

  test('a role made by Slotkeeper gets all rights and works', async () => {
    const admin = await db.link(superuser)
    await db.admin.query('revoke connect on database postgres from public')
    expect(await provide(admin, { role: 'made', auth: 'secret' }, 'p')).toEqual([])
    await admin.close()
    await db.admin.query('grant connect on database postgres to shop_app')
    const victim = await db.open(app, 'victim')
    expect((await sweepAs({ user: 'made', password: 'p' })).reaped).toMatchObject([
      { pid: victim.pid },
    ])
  })
  afterAll(async () => {
    for (const right of [...RIGHTS, 'CONNECT ON DATABASE postgres']) {
      await db.admin.query(`grant ${right} to public`)
    }
  })
})

test('without USAGE on pg_catalog, the error names the GRANT that fixes it', async () => {
  const stranger = await db.role('stranger', REAPER_ROLES)
  const victim = await db.open(app, 'victim')
  await db.admin.query('revoke usage on schema pg_catalog from public')
  const grant = 'GRANT USAGE ON SCHEMA pg_catalog TO "stranger";'
  await expect(sweepAs(stranger)).rejects.toMatchObject({
    kind: 'rights',
    message: expect.stringContaining(grant),
  })
  await db.admin.query(grant)
  expect((await sweepAs(stranger)).reaped).toMatchObject([{ pid: victim.pid }])
  const admin = await db.link(superuser)
  const { revoked } = await readServerKind(admin, 'another')
  expect(revoked).toContain('USAGE ON SCHEMA pg_catalog')
  await admin.close()
  await db.admin.query('grant usage on schema pg_catalog to public')
})

test.each(['pg_sleep(float8)', 'set_config(text, text, boolean)'])(
  'without %s, which hardened servers revoke, nothing is missing',
  async (name) => {
    const plain = await db.role(`without ${name}`, REAPER_ROLES)
    await db.admin.query(`revoke execute on function pg_catalog.${name} from public`)
    const victims = await Promise.all(Array.from({ length: 5 }, () => db.open(app, 'victim')))
    const { reaped, refused } = await sweepAs(plain)
    expect([reaped.length, refused]).toEqual([victims.length, []])
    await db.admin.query(`grant execute on function pg_catalog.${name} to public`)
  },
)

test('the list of required functions has every function that a sweep calls', async () => {
  const reaper = await db.role('overheard', REAPER_ROLES)
  await db.open(app, 'victim')
  const gate = createGate(async () => db.credentials(reaper), false)
  const said: string[] = []
  const listening: Gate = {
    ...gate,
    async open(deadline) {
      const link = await gate.open(deadline)
      return {
        ...link,
        query: (sql, timeoutMs) => {
          said.push(sql)
          return link.query(sql, timeoutMs)
        },
        run: (statements, timeoutMs) => {
          said.push(...statements)
          return link.run(statements, timeoutMs)
        },
      }
    },
  }
  const order = { target: 'test', policy: ALL_IDLE, mode: 'reap' } as const
  const { report } = await sweep(listening, order, deadlineIn(SWEEP_MS))
  await gate.close()
  expect(report.reaped).toHaveLength(1)
  // Both statements of the look, the look ahead, the signals, and one or more looks whether the session is gone.
  expect(said.length).toBeGreaterThanOrEqual(5)

  // What looks like a call and is none: syntax, and the names of columns of a VALUES or of a function's rows.
  const SYNTAX =
    /^(and|any|array|as|b|coalesce|else|exists|f|from|int|join|nullif|or|r|values|v|when|in)$/
  const HERE = /^(has_(function|table|language|schema)_privilege)$/
  const called = said
    .flatMap((sql) => [...sql.replaceAll(/'[^']*'/g, "''").matchAll(/\b([a-z_]+) ?\(/g)])
    .map(([, name = '']) => name)
    .filter((name) => !SYNTAX.test(name) && !HERE.test(name))
  const known = new Set(FUNCTIONS.map((name) => name.replace(/\(.*/, '')))
  expect(called.filter((name) => !known.has(name))).toEqual([])
})

describe('a role that does not inherit', () => {
  test('gets the advice to inherit, not to be granted again', async () => {
    const role = await db.role('aloof', REAPER_ROLES, 'noinherit')
    const remedy =
      MAJOR >= 16 ? 'GRANT pg_monitor TO "aloof" WITH INHERIT TRUE;' : 'ALTER ROLE "aloof" INHERIT;'
    await expect(sweepAs(role)).rejects.toMatchObject({
      kind: 'blind',
      message: expect.stringContaining(remedy),
    })
    await db.admin.query(remedy)
    await db.admin.query(remedy.replace('pg_monitor', 'pg_signal_backend'))
    const victim = await db.open(app, 'victim')
    expect((await sweepAs(role)).reaped).toMatchObject([{ pid: victim.pid }])
  })

  /** Runs what the error tells an administrator, and tells it. */
  const runRemedy = async (error: unknown) => {
    const [, remedy = ''] = /As an administrator: (.*)$/.exec(String(error)) ?? []
    await db.admin.query(remedy)
    return remedy
  }

  test('and has no grants gets the full list of what it needs', async () => {
    const role = await db.role('aloof and poor', [], 'noinherit')
    const remedy = await runRemedy(await sweepAs(role, 'observe').catch((error) => error))
    expect(remedy).toContain('GRANT pg_monitor TO "aloof and poor"')
    expect((await sweepAs(role, 'observe')).cannotSignal).toBe(true)
  })

  test('through a group that does not inherit gets the fix for the group', async () => {
    await db.admin.query('create role aloof_group noinherit')
    await db.admin.query('grant pg_monitor, pg_signal_backend to aloof_group')
    const role = await db.role('behind a group', ['aloof_group'])
    await runRemedy(await sweepAs(role, 'observe').catch((error) => error))
    expect((await sweepAs(role, 'observe')).slots.used).toBeGreaterThan(0)
  })

  test.runIf(MAJOR >= 16)('pg_signal_backend alone is told how to inherit it', async () => {
    const role = await db.role('half aloof', ['pg_monitor'])
    await db.admin.query('grant pg_signal_backend to "half aloof" with inherit false')
    const link = await db.link(role)
    const { ownUser, serverVersion, signaller } = await takeSnapshot(link, SWEEP_MS)
    const signalGrant = grantUsable('pg_signal_backend', {
      role: ownUser,
      serverVersion,
      ...signaller,
    })
    expect(signalGrant).toBe('GRANT pg_signal_backend TO "half aloof" WITH INHERIT TRUE;')
    await db.admin.query(signalGrant)
    expect(await takeSnapshot(link, SWEEP_MS)).toMatchObject({ maySignal: true })
    await link.close()
  })

  test.runIf(MAJOR >= 16)(
    'one of its grants is given it again, so that it can use it',
    async () => {
      const role = await db.role('made half aloof', ['pg_monitor'])
      await db.admin.query('grant pg_signal_backend to "made half aloof" with inherit false')
      const admin = await db.link(superuser)
      await provide(admin, { role: role.user, auth: 'secret' })
      await admin.close()
      const victim = await db.open(app, 'victim')
      expect((await sweepAs(role)).reaped).toMatchObject([{ pid: victim.pid }])
    },
  )

  test('is changed to inherit when Slotkeeper makes the role', async () => {
    await db.role('made aloof', [], 'noinherit')
    const admin = await db.link(superuser)
    await provide(admin, { role: 'made aloof', auth: 'secret' })
    await admin.close()
    const victim = await db.open(app, 'victim')
    expect(
      (await sweepAs({ user: 'made aloof', password: 'secret of made aloof' })).reaped,
    ).toMatchObject([{ pid: victim.pid }])
  })
})

test('a role that switches to another role at login keeps its own rights', async () => {
  const role = await db.role('changeling', [...REAPER_ROLES, app.user])
  await db.admin.query('alter role changeling set role = shop_app')
  const victim = await db.open(app, 'victim')
  expect((await sweepAs(role)).reaped).toMatchObject([{ pid: victim.pid }])
})

test('a library path without PL/pgSQL is reported before any session is ended', async () => {
  const role = await db.role('pathless', REAPER_ROLES)
  await db.admin.query("alter role pathless set dynamic_library_path = ''")
  const victim = await db.open(app, 'victim')
  const swept = sweepAs(role)
  // Until 18 the language names its library by its whole path.
  if (MAJOR >= 18) {
    await expect(swept).rejects.toMatchObject({
      kind: 'query',
      message: expect.stringContaining('$libdir'),
    })
    expect(victim.isAlive()).toBe(true)
  } else {
    expect((await swept).reaped).toMatchObject([{ pid: victim.pid }])
  }
})
