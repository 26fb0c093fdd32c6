import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { credentialsOf } from '../../../lambda/aws/credentials.ts'
import type { Credentials } from '../../../lambda/core/credentials.ts'
import { connect } from '../../../lambda/postgres/connect.ts'
import { createGate, deadlineIn, inEitherDatabase } from '../../../lambda/postgres/gate.ts'
import { startPostgres } from '../../../stand-ins/postgres.ts'
import { REAPER_ROLES, restart, testServer, until } from '../../support/server.ts'

const SOON_MS = 10_000
const READY_MS = 30_000

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
const data: string = (await db.admin.query('show data_directory')).rows[0].data_directory
const rules = join(data, 'pg_hba.conf')

const login = (changes: Partial<Credentials> = {}) =>
  connect({ ...db.credentials(reaper), ...changes }, false, 'client', SOON_MS)

/** Has one line stand before the others, until the test is over. */
async function rule(line: string): Promise<void> {
  const before = readFileSync(rules, 'utf8')
  restore = () => writeFileSync(rules, before)
  writeFileSync(rules, `${line}\n${before}`)
  await db.admin.query('select pg_reload_conf()')
  const [, , , , method] = line.split(/\s+/)
  await until(async () => {
    const { rows } = await db.admin.query('select auth_method from pg_hba_file_rules limit 1')
    return rows[0]?.auth_method === method || line.startsWith('hostssl')
  })
}
let restore: (() => void) | undefined
afterEach(async () => {
  restore?.()
  restore = undefined
  await db.admin.query('select pg_reload_conf()')
})

describe('a password', () => {
  test('that is required but missing is reported', async () => {
    // What the driver would take on its own account.
    process.env.PGPASSWORD = reaper.password
    await expect(login({ password: '' })).rejects.toMatchObject({
      kind: 'authentication',
      message: expect.stringMatching(
        /the server asks for a password, and none is given.*PGPASSWORD/,
      ),
    })
    delete process.env.PGPASSWORD
  })

  test('that is not required may be missing', async () => {
    await rule('host all reaper 127.0.0.1/32 trust')
    const link = await login({ password: '' })
    expect(link.alive()).toBe(true)
    await link.close()
  })

  test('that ends in a newline is reported and not shown', async () => {
    const error = (await login({ password: `${reaper.password}\n` }).catch((e) => e)) as Error
    expect(error).toMatchObject({ kind: 'authentication' })
    expect(error.message).toContain('ends with a line break')
    expect(error.message).not.toContain(reaper.password)
  })

  /** As PostgreSQL stores it, of as many iterations. */
  async function roleOf(name: string, iterations: number) {
    const role = await db.role(name, REAPER_ROLES)
    const salt = Buffer.from('salt of sixteen!')
    const salted = pbkdf2Sync(role.password, salt, iterations, 32, 'sha256')
    const hmac = (text: string) => createHmac('sha256', salted).update(text).digest()
    const stored = createHash('sha256').update(hmac('Client Key')).digest('base64')
    const verifier = `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${hmac('Server Key').toString('base64')}`
    await db.admin.query(`alter role ${name} password '${verifier}'`)
    return role
  }

  test('with 200,000 SCRAM iterations is accepted', async () => {
    const link = await login(await roleOf('costly', 200_000))
    expect(link.alive()).toBe(true)
    await link.close()
  })

  test('with more SCRAM iterations than the sweep has time for fails with a named error', async () => {
    await expect(login(await roleOf('too_costly', 1_500_000))).rejects.toMatchObject({
      kind: 'authentication',
      message: expect.stringMatching(/1500000 iterations.*Set scram_iterations to/),
    })
  })
})

describe('a required authentication method', () => {
  test('is accepted when the server uses it', async () => {
    const link = await login({ methods: ['scram-sha-256'] })
    expect(link.alive()).toBe(true)
    await link.close()
  })

  test.each(['password', 'trust'])('is refused when the server uses %s', async (method) => {
    await rule(`host all reaper 127.0.0.1/32 ${method}`)
    await expect(login({ methods: ['scram-sha-256'] })).rejects.toMatchObject({
      kind: 'authentication',
      message: expect.stringContaining('not what require_auth or channel_binding demand'),
    })
  })
})

describe('pg_hba.conf', () => {
  test('that requires TLS refuses a connection without it', async () => {
    const before = readFileSync(rules, 'utf8')
    restore = () => writeFileSync(rules, before)
    writeFileSync(
      rules,
      `hostssl all reaper all scram-sha-256\nhost all postgres all scram-sha-256\n`,
    )
    await db.admin.query('select pg_reload_conf()')
    await until(async () => {
      const error = await login().then(
        (link) => link.close(),
        (error) => error,
      )
      return error !== undefined
    })
    await expect(login()).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringMatching(
        /no encryption.*SQLSTATE 28000.*sslmode=verify-full.*hostaddr=127\.0\.0\.1.*sslmode=verify-ca/,
      ),
    })
  })

  test('that rejects the role is named', async () => {
    await rule('host all reaper 127.0.0.1/32 reject')
    await expect(login()).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringContaining('pg_hba.conf'),
    })
  })
})

test('a role without LOGIN is reported', async () => {
  await db.role('asleep')
  await db.admin.query('alter role asleep nologin')
  await rule('host all asleep 127.0.0.1/32 trust')
  await expect(login({ user: 'asleep' })).rejects.toMatchObject({
    kind: 'authentication',
    message: expect.stringContaining('has LOGIN'),
  })
})

test('reports a role limit that is used up by the kept connection of another environment', async () => {
  const single = await db.role('single', REAPER_ROLES, 'connection limit 1')
  const fixed = async () => db.credentials(single)
  const older = createGate(fixed, false)
  await older.giveBack(await older.open(deadlineIn(SOON_MS)))
  await expect(createGate(fixed, false).open(deadlineIn(SOON_MS))).rejects.toMatchObject({
    kind: 'limited',
    message: expect.stringMatching(/role single .*needs a limit of 2.*CONNECTION LIMIT 2/),
  })
  await older.close()
})

describe('the database', () => {
  const secretOf = (dbname: string) => {
    const { host, port } = db.server
    const { user: username, password } = reaper
    return credentialsOf('arn:x', JSON.stringify({ username, password, host, port, dbname }), {})
  }
  const databaseOf = async (credentials: Credentials) => {
    const gate = createGate(async () => credentials, false)
    const link = await gate.open(deadlineIn(SOON_MS))
    const [[row]] = (await link.query('select current_database() as name', SOON_MS)) as [
      [{ name: string }],
    ]
    await link.close()
    return row.name
  }

  test('of the secret is not kept open and can be dropped', async () => {
    await db.admin.query('create database shop_to_go')
    const credentials = secretOf('shop_to_go')
    const gate = createGate(async () => credentials, false)
    await gate.giveBack(await gate.open(deadlineIn(SOON_MS)))
    await db.admin.query('drop database shop_to_go')
    expect(gate.takeWarm()?.alive()).toBe(true)
    await gate.close()
  })

  test('is the one in the secret when CONNECT on postgres is revoked', async () => {
    await db.admin.query('create database shop')
    await db.admin.query('revoke connect on database postgres from public')
    expect(await databaseOf(secretOf('shop'))).toBe('shop')
    await expect(databaseOf(secretOf('none'))).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringMatching(/database postgres.*42501.*GRANT CONNECT.*no database none/),
    })
    await db.admin.query('grant connect on database postgres to public')
  })

  test('is the second one when the first is missing or at its limit', async () => {
    expect(await databaseOf({ ...secretOf('shop'), database: 'gone' })).toBe('shop')
    await db.admin.query('create database narrow connection limit 0')
    expect(await databaseOf({ ...secretOf('shop'), database: 'narrow' })).toBe('shop')
  })

  test('is not tried again with a wrong password', async () => {
    const asked: string[] = []
    const wrong = { ...secretOf('shop'), password: 'wrong' }
    const attempt = inEitherDatabase(wrong, (chosen) => {
      asked.push(chosen.database)
      return connect(chosen, false, 'client', SOON_MS)
    })
    await expect(attempt).rejects.toMatchObject({ kind: 'authentication' })
    expect(asked).toEqual(['postgres'])
  })
})

test('a server that accepts no connections is reported', async () => {
  const server = await startPostgres({}, inject('release'))
  await restart(server, 'SIGINT', (folder) => {
    writeFileSync(join(folder, 'standby.signal'), '')
    writeFileSync(join(folder, 'postgresql.auto.conf'), 'hot_standby = off\n')
  })
  const { host, port } = server
  const at = { host, port, user: 'u', password: 'p', database: 'd' }
  let error: Error | undefined
  await until(async () => {
    error = await connect(at, false, 'client', SOON_MS).catch((thrown) => thrown)
    return String(error?.message).includes('57P03')
  }, READY_MS)
  expect(error).toMatchObject({
    kind: 'unreachable',
    message: expect.stringMatching(/takes no connections now.*try again.*The network works/),
  })
})
