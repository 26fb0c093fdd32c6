import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { DrillOptions } from '../../../cli/drill/drill.ts'
import { application, drillFast } from '../../support/drill.ts'
import { policy } from '../../support/session.ts'

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-drill-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

const idles = [{ name: 'idle', state: 'idle' as const, olderThan: '30s' }]
const script = (text: string): [string, ...string[]] => [process.execPath, '-e', text]

test.each<[string, [string, ...string[]], Partial<DrillOptions>, string]>([
  ['a program that is not there', ['./no-such-program'], {}, 'COMMAND could not be started'],
  ['a file that is no program', ['./package.json'], {}, 'COMMAND could not be started'],
  [
    'an application that does not connect',
    script('setInterval(() => undefined, 60_000)'),
    { startMs: 300 },
    'COMMAND opened no session within 0.3 s. Does it connect to DATABASE_URL',
  ],
  [
    'a policy without a rule for idle sessions',
    application('survives'),
    { policy: policy({ rules: [{ name: 'long', state: 'active', olderThan: '1h' }] }) },
    '--policy: none of its rules is for idle sessions',
  ],
  [
    'setup that the server refuses',
    application('survives'),
    { setup: { file: 'schema.sql', sql: 'create table a (b int);\n\ncreate tabel c (d int);' } },
    '--setup schema.sql, line 3: syntax error at or near "tabel" (SQLSTATE 42601)',
  ],
  [
    'a role that is there already',
    application('survives'),
    { user: 'postgres' },
    '--user: found "postgres"; expected a name that PostgreSQL takes',
  ],
  [
    'a database that is there already',
    application('survives'),
    { database: 'postgres' },
    '--database: found "postgres"',
  ],
  ...(['restart', 'user', 'database'] as const).map(
    (option): [string, [string], Partial<DrillOptions>, string] => [
      `--${option} with --url`,
      ['true'],
      { url: 'postgres://x:y@127.0.0.1:1/z', [option]: option === 'restart' ? true : 'shop' },
      `--${option} and --url exclude each other`,
    ],
  ),
])('refuses %s', async (_, command, options, words) => {
  await expect(drillFast(command, options)).rejects.toMatchObject({
    kind: 'settings',
    message: expect.stringContaining(words),
  })
})

describe('a drill that ended no session shows nothing, so it fails', () => {
  test.each<[string, Partial<DrillOptions>, string]>([
    ['keep', { policy: policy({ rules: idles, keep: 4 }) }, '4 sessions: one of the 4 most'],
    [
      'another role',
      { policy: policy({ scope: { users: ['shop_*'] }, rules: idles }) },
      '4 sessions: out of scope',
    ],
    [
      'a protection',
      { policy: policy({ protect: [{ databases: ['app'] }], rules: idles }) },
      '4 sessions: protect[0] of the policy',
    ],
  ])('%s', async (_, options, words) => {
    const result = await drillFast(application('survives'), { patienceMs: 1_000, ...options })
    expect(result).toMatchObject({ survived: false, lived: true, cuts: [] })
    expect(result.conclusion).toContain('The drill shows nothing: nothing to end')
    expect(result.conclusion).toContain(words)
  })

  test('an application that ends before it connects', async () => {
    const result = await drillFast(script('console.log("no configuration"); process.exit(3)'))
    expect(result).toMatchObject({
      survived: false,
      lived: false,
      version: null,
      cuts: [],
      conclusion:
        'The drill shows nothing: COMMAND ended by itself (exit code 3), and no session of it was seen.',
      lastLines: ['no configuration'],
    })
  })
})

test('the scope of a policy can meet the role and the database, and a network counts as matching', async () => {
  const scope = { users: ['shop_*'], databases: ['shop'], clients: ['10.0.0.0/8'] }
  const result = await drillFast(application('survives'), {
    user: 'shop_app',
    database: 'shop',
    policy: policy({ scope, rules: idles }),
  })
  expect(result).toMatchObject({ survived: true, cuts: [{ ended: 4 }] })
  expect(result.differences).toContain(
    'each network under "clients" in its scope and rules counts as matching',
  )
})

test('--setup runs as the role of the application, also if pg_dump wrote it', async () => {
  const sql = String.raw`\restrict abc
create table orders (id int);
insert into orders values (1), (2);
\unrestrict abc
`
  const ask = `const pg = require('pg')
    const client = new pg.Client()
    client.on('error', () => undefined)
    client.connect().then(() => client.query("select count(*), current_user = tableowner as owned from orders, pg_tables where tablename = 'orders' group by 2"))
      .then(({ rows }) => console.log(JSON.stringify(rows)))
    setInterval(() => undefined, 60_000)`
  const result = await drillFast(script(ask), {
    patienceMs: 300,
    setup: { file: 'dump.sql', sql },
  })
  expect(result.lastLines).toContain('[{"count":"2","owned":true}]')
})
