import { beforeAll, describe, expect, test } from 'vitest'
import type { Diagnosis } from '../../../cli/doctor/diagnosis.ts'
import { parsePolicyText } from '../../../lambda/core/policy.ts'
import { diagnoseAs, found, sqlOf } from '../../support/doctor.ts'
import {
  type OtherSession,
  REAPER_ROLES,
  type Role,
  testServer,
  until,
} from '../../support/server.ts'

// Findings about sessions that are idle for over a minute. One server holds all of them, so that the minute
// passes once. 117 usable slots: a tenth is 12.
const TENTH = 12
const HOSTILE = 'bad "role\u001b[31m\'; --'

const db = await testServer({ max_connections: '120' })
let reaper: Role
let diagnosis: Diagnosis
const opened: Record<string, OtherSession[]> = {}

async function group(name: string, count: number, application: string, ...sql: string[]) {
  const role = await db.role(name)
  opened[name] = []
  for (let index = 0; index < count; index += 1) {
    opened[name].push(await db.open(role, application, ...sql))
  }
}

const PDO = ['prepare pdo_stmt_00000001 as select 1', 'deallocate pdo_stmt_00000001']

beforeAll(async () => {
  await db.admin.query('create table orders (); create table parts ()')
  reaper = await db.role('reaper', REAPER_ROLES)
  await group('hoarder', TENTH, 'worker', ...PDO)
  await group(HOSTILE, TENTH, "it's \u0007", 'select 1')
  await group('settled_app', TENTH, 'settled', 'select 1')
  await group('small_app', TENTH - 1, 'small', 'select 1')
  await group('unused_app', TENTH, '')
  await group('pooled_app', TENTH, '', 'discard all')
  await db.admin.query('alter role settled_app connection limit 50')
  await db.admin.query(
    "alter role settled_app in database postgres set idle_session_timeout = '1h'",
  )
  const sleeper = await db.role('sleeper_app')
  await db.admin.query('grant all on orders, parts to sleeper_app')
  opened.sleeper_app = [await db.open(sleeper, 'job', 'begin', 'lock table orders')]
  await until(async () => {
    const { rows } = await db.admin.query<{ young: number }>(
      `select count(*)::int as young from pg_stat_activity
        where usename <> 'postgres' and state_change > clock_timestamp() - interval '61 s'`,
    )
    return rows[0]?.young === 0
  }, 100_000)
  // The same, and young: near each of these findings.
  await group('young_app', TENTH, 'young', 'select 1')
  const young = await db.role('young_sleeper')
  opened.young_sleeper = [await db.open(young, 'job', 'begin', 'select 1')]
  const unused = await db.role('young_unused')
  opened.young_unused = [await db.open(unused, 'fresh')]
  diagnosis = await diagnoseAs(db, reaper)
}, 200_000)

describe('what is over a minute old is found, and what is near it is not', () => {
  test.each(['hoarder', HOSTILE, 'settled_app', 'unused_app', 'pooled_app'])(
    'hoard: %j',
    (user) => {
      expect(found(diagnosis, 'hoard', user)).toMatchObject([
        { severity: 'warning', evidence: { sessions: TENTH, idleOverMinute: TENTH, peakBusy: 0 } },
      ])
    },
  )

  test.each(['small_app', 'young_app', 'young_unused', 'sleeper_app', 'postgres'])(
    'no hoard: %s',
    (user) => {
      expect(found(diagnosis, 'hoard', user)).toEqual([])
    },
  )

  test('never-used, unnamed', () => {
    expect(found(diagnosis, 'never-used')).toMatchObject([
      { pool: { user: 'unused_app' }, evidence: { neverUsed: TENTH } },
    ])
    expect(found(diagnosis, 'unnamed')).toMatchObject([{ pool: { user: 'unused_app' } }])
    const pool = diagnosis.pools.find(({ user }) => user === 'unused_app')
    expect(pool).toMatchObject({ neverUsed: TENTH, sessions: TENTH, application: '' })
  })

  test('no-timeouts and no-limit: where the role has none', () => {
    const users = (id: 'no-timeouts' | 'no-limit') =>
      found(diagnosis, id).map(({ pool }) => pool?.user)
    expect(users('no-timeouts').sort()).toEqual([HOSTILE, 'hoarder', 'unused_app'].sort())
    // The pooler's role has none either, and it needs none: a pooler bounds itself.
    expect(users('no-limit').sort()).toEqual([HOSTILE, 'hoarder', 'unused_app'].sort())
  })

  test('idle-in-transaction', () => {
    expect(found(diagnosis, 'idle-in-transaction')).toMatchObject([
      { pool: { user: 'sleeper_app' }, evidence: { sessions: 1 } },
    ])
    expect(found(diagnosis, 'blocking')).toEqual([])
  })

  test('pooler: its advice is another one', () => {
    expect(found(diagnosis, 'pooler')).toMatchObject([
      { pool: { user: 'pooled_app' }, severity: 'info' },
    ])
    const [hoard] = found(diagnosis, 'hoard', 'pooled_app')
    expect(sqlOf(hoard)).toEqual([])
    expect(hoard?.remedies.map(({ text }) => text).join('\n')).toContain('server_idle_timeout')
  })

  test('nothing else is found', () => {
    const ids = new Set(diagnosis.findings.map(({ id }) => id))
    for (const id of ['full', 'nearly-full', 'churn', 'filling', 'abandoned', 'blind'] as const) {
      expect(ids).not.toContain(id)
    }
  })

  test('PHP is recognised by the form of its last query', () => {
    const [hoard] = found(diagnosis, 'hoard', 'hoarder')
    expect(hoard?.evidence).toMatchObject({ probably: 'php' })
    expect(hoard?.remedies[0]).toMatchObject({
      kind: 'application',
      text: expect.stringContaining('DB::disconnect()'),
      why: expect.stringContaining('Probably PHP'),
    })
    expect(hoard?.remedies.map(({ text }) => text).join()).toContain('pm.max_children = ')
  })

  test('no query text and nothing that drives a terminal leaves the server', () => {
    expect(JSON.stringify(diagnosis)).not.toContain('pdo_stmt_00000001')
  })
})

describe('each SQL remedy runs as it stands', () => {
  const run = async (finding: Diagnosis['findings'][number] | undefined, part: string) => {
    const sql = sqlOf(finding).find((text) => text.includes(part)) ?? ''
    expect(sql).toContain(part)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for what drives a terminal
    expect(sql.replaceAll('\n', '')).not.toMatch(/[\x00-\x1f\x7f]/)
    return [await db.admin.query(sql)].flat()
  }

  test.each(['hoarder', HOSTILE])('CONNECTION LIMIT for %j', async (user) => {
    await run(found(diagnosis, 'no-limit', user)[0], 'CONNECTION LIMIT')
    const { rows } = await db.admin.query(
      'select rolconnlimit as n from pg_roles where rolname = $1',
      [user],
    )
    const { rows: others } = await db.admin.query(
      "select count(*)::int as n from pg_roles where rolconnlimit = $1 and rolname <> all('{hoarder}')",
      [rows[0].n],
    )
    expect(rows[0].n).toBeGreaterThan(TENTH)
    expect(others[0].n).toBeLessThanOrEqual(1)
    const after = await diagnoseAs(db, reaper, 1)
    expect(found(after, 'no-limit', user)).toEqual([])
  })

  test.each(['hoarder', HOSTILE])('idle_session_timeout for %j', async (user) => {
    const [finding] = found(diagnosis, 'no-timeouts', user)
    await run(finding, 'idle_session_timeout')
    expect(finding?.remedies[0]?.why).toMatch(/listeners.*advisory locks.*temporary tables/)
    const after = await diagnoseAs(db, reaper, 1)
    expect(found(after, 'no-timeouts', user)).toEqual([])
    expect(found(after, 'no-timeouts', 'unused_app')).toHaveLength(1)
  })

  test.each(['hoarder', HOSTILE])(
    'the end of the idle sessions of %j, and of no other',
    async (user) => {
      const role = { user, password: `secret of ${user}` }
      const spared = [
        await db.open(role, user === HOSTILE ? "it's \u0007" : 'worker', 'select 1'),
        await db.open(role, 'another', 'select 1'),
      ]
      const [result] = await run(found(diagnosis, 'hoard', user)[0], 'pg_terminate_backend')
      expect(Number(result?.rows[0].count)).toBe(TENTH)
      await Promise.all((opened[user] ?? []).map(({ ended }) => ended))
      for (const session of spared) expect(session.isAlive()).toBe(true)
      expect(opened.small_app?.every((session) => session.isAlive())).toBe(true)
    },
  )

  test('idle in transaction', async () => {
    const [finding] = found(diagnosis, 'idle-in-transaction')
    await run(finding, 'idle_in_transaction_session_timeout')
    const { rows } = await db.admin.query(
      "select rolconfig from pg_roles where rolname = 'sleeper_app'",
    )
    expect(rows[0].rolconfig).toEqual(['idle_in_transaction_session_timeout=60s'])
    await run(finding, 'pg_terminate_backend')
    await opened.sleeper_app?.[0]?.ended
    expect(opened.young_sleeper?.[0]?.isAlive()).toBe(true)
  })

  test('each policy is valid', () => {
    const policies = diagnosis.findings
      .flatMap(({ remedies }) => remedies)
      .filter(({ kind, text }) => kind === 'policy' && text.includes('rules'))
    expect(policies.length).toBeGreaterThan(1)
    for (const { text } of policies) expect(parsePolicyText(text)).toMatchObject({ ok: true })
  })
})
