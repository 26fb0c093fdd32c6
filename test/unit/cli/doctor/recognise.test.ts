import { describe, expect, test } from 'vitest'
import { diagnose } from '../../../../cli/doctor/diagnose.ts'
import type { Form } from '../../../../cli/doctor/last-query.ts'
import { type Framework, recognise } from '../../../../cli/doctor/recognise.ts'
import { found } from '../../../support/doctor.ts'
import { observed } from '../../../support/observed.ts'
import { session } from '../../../support/session.ts'

const ONE = (form: Form) => new Map([[form, 1]])

describe('what probably opened the sessions', () => {
  test.each<[application: string, form: Form, framework: Framework | undefined]>([
    ['php', 'other', 'php'],
    ['php-fpm', 'laravel queue', 'laravel-queue'],
    ['shop horizon', 'other', 'laravel-queue'],
    ['artisan queue:work', 'pdo', 'laravel-queue'],
    ['octane', 'pdo', 'octane'],
    ['', 'pdo', 'php'],
    ['', 'laravel queue', 'laravel-queue'],
    ['my-node-app', 'other', 'node-postgres'],
    ['postgres.js', 'other', 'postgres-js'],
    ['PostgreSQL JDBC Driver', 'other', 'hikari'],
    ['', 'jdbc', 'hikari'],
    ['', 'sqlalchemy', 'sqlalchemy'],
    ['', 'django', 'django'],
    ['puma: cluster worker 0: 1234', 'other', 'rails'],
    ['', 'rails', 'rails'],
    ['', 'pgx', 'pgx'],
    ['prisma', 'other', 'prisma'],
    ['', 'prisma', 'prisma'],
    ['checkout-web', 'other', undefined],
    ['', 'rollback', undefined],
  ])('%j, %s: %s', (application, form, framework) => {
    expect(recognise('shop_app', [application], ONE(form)).framework).toBe(framework)
  })

  test('one odd query among many shows nothing', () => {
    const forms = new Map<Form, number>([
      ['other', 99],
      ['pdo', 1],
    ])
    expect(recognise('shop_app', [''], forms).framework).toBeUndefined()
  })
})

describe('the lines to paste', () => {
  test.each<[application: string, line: RegExp]>([
    ['php', /pm\.max_children = \d+/],
    ['horizon', /DB::disconnect\(\)/],
    ['horizon', /'maxProcesses' => \d+/],
    ['octane', /DisconnectFromDatabases::class/],
    ['node', /idleTimeoutMillis: 10_000[\s\S]*pool\.on\('connect'/],
    ['postgres.js', /max: 8, idle_timeout: 20/],
    ['PostgreSQL JDBC Driver', /hikari\.maximum-pool-size=8/],
    ['sqlalchemy', /pool_size=8, max_overflow=0, pool_pre_ping=True/],
    ['django', /'CONN_MAX_AGE': 0/],
    ['puma', /pool: 8/],
    ['pgx', /config\.MaxConns = 8/],
    ['prisma', /connection_limit=8/],
    ['pgbouncer', /default_pool_size = 8/],
    ['rdsproxy', /MaxIdleConnectionsPercent/],
    ['shop', /maximum pool size 8/],
  ])('%s', (application, line) => {
    const idle = Array.from({ length: 30 }, () => session({ application, ageSeconds: 600 }))
    const busy = Array.from({ length: 3 }, () => session({ application, state: 'active' }))
    const diagnosis = diagnose(observed([[...idle, ...busy]]))
    const [hoard] = found(diagnosis, 'hoard')
    const texts = (hoard?.remedies ?? []).map(({ text }) => text).join('\n')
    expect(texts).toMatch(line)
    const isKnown = application !== 'shop' && !/bouncer|rdsproxy/.test(application)
    expect(/[Pp]robably/.test(hoard?.remedies[0]?.why ?? '')).toBe(isKnown)
  })
})
