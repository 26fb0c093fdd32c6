import { execFileSync } from 'node:child_process'
import { afterAll, describe, expect, test } from 'vitest'
import { connect } from '../../../lambda/postgres/connect.ts'
import { createGate, deadlineIn } from '../../../lambda/postgres/gate.ts'
import { provide } from '../../../lambda/postgres/role.ts'
import { checkPassword } from '../../../lambda/postgres/role-login.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { handler } from '../../../lambda/provision.ts'
import { EXAMPLE_KEYS, startAws } from '../../../stand-ins/aws.ts'
import { MAJOR, testServer, until } from '../../support/server.ts'

const SOON_MS = 10_000

const db = await testServer({ max_connections: '14' })
const superuser = { user: 'postgres', password: db.server.password }
const app = await db.role('shop_app')

const abilities = async (role: string) => {
  const { rows } = await db.admin.query(
    "select rolreplication as replication, pg_has_role($1, 'pg_monitor', 'usage') as sees, pg_has_role($1, 'pg_signal_backend', 'usage') as signals from pg_roles where rolname = $1",
    [role],
  )
  return rows[0]
}

describe('the least role', () => {
  test.each(['slotkeeper', 'o"dd \'rôle\\ 数'])(
    '%s can look, and gets into a full server',
    async (role) => {
      const admin = await db.link(superuser)
      expect(await provide(admin, { role, auth: 'secret' }, 'its password')).toEqual([])
      expect(await provide(admin, { role, auth: 'secret' }, 'another')).toEqual([])
      await admin.close()
      expect(await abilities(role)).toEqual({ replication: true, sees: true, signals: true })

      const filling = await db.fill(app)
      // The second run left the password alone.
      const credentials = db.credentials({ user: role, password: 'its password' })
      const gate = createGate(async () => credentials, false)
      const link = await gate.open(deadlineIn(SOON_MS))
      expect(link.entry).toBe('walsender')
      expect((await takeSnapshot(link, SOON_MS)).sessions.length).toBeGreaterThanOrEqual(
        filling.length,
      )
      await link.close()
    },
  )

  test('reports an optional grant that the administrator may not give', async () => {
    const lesser = await db.role('lesser', [], 'createrole')
    await db.admin.query('grant pg_monitor, pg_signal_backend to lesser with admin option')
    const admin = await db.link(lesser)
    const refused = await provide(admin, { role: 'by_lesser', auth: 'secret' }, 'p')
    expect(refused.join()).toMatch(
      MAJOR >= 16 ? /REPLICATION.*pg_use_reserved_connections/ : /REPLICATION/,
    )
    expect(await abilities('by_lesser')).toEqual({ replication: false, sees: true, signals: true })
    await admin.close()
  })

  test('fails with the server error when a required grant is refused', async () => {
    // Before 16, whoever may make roles may grant all of them.
    if (MAJOR >= 16) {
      const powerless = await db.role('powerless', [], 'createrole')
      const admin = await db.link(powerless)
      await db.admin.query('grant pg_monitor to powerless with admin option')
      await expect(provide(admin, { role: 'unmade', auth: 'secret' }, 'p')).rejects.toThrow(
        /GRANT pg_signal_backend TO "unmade".*permission denied/,
      )
      await admin.close()
    }
    expect(await abilities('unmade')).toBeUndefined()
    const nobody = await db.link(app)
    await expect(provide(nobody, { role: 'unmade2', auth: 'secret' }, 'p')).rejects.toThrow(
      /role unmade2 could not be created.*permission denied/,
    )
    await nobody.close()
  })
})

describe('the custom resource', async () => {
  const { host, port } = db.server
  const secretOf = (role: object) => JSON.stringify({ ...role })
  const aws = await startAws({
    admin: secretOf({ username: 'postgres', password: db.server.password }),
    reaper: secretOf({ username: 'made', password: 'päss "word" \\' }),
    wrong: secretOf({ username: 'postgres', password: 'hush' }),
  })
  afterAll(() => aws.close())
  Object.assign(process.env, EXAMPLE_KEYS, { AWS_ENDPOINT_URL: aws.url })
  const event = (RequestType: string, properties: object = {}) =>
    ({
      RequestType,
      ResourceProperties: {
        adminSecret: 'admin',
        secret: 'reaper',
        host,
        port: String(port),
        ...properties,
      },
    }) as never

  async function logStatements(which: 'all' | 'none'): Promise<void> {
    await db.admin.query(`alter system set log_statement = '${which}'`)
    await db.admin.query('select pg_reload_conf()')
    // New sessions have what the postmaster has read, and this one reads it for itself.
    const shown = async () => {
      const link = await db.link(superuser)
      const [[row]] = (await link.query('show log_statement', SOON_MS)) as [[object]]
      await link.close()
      const { rows } = await db.admin.query('show log_statement')
      return [row, rows[0]]
    }
    const wanted = JSON.stringify([which, which].map((log_statement) => ({ log_statement })))
    await until(async () => JSON.stringify(await shown()) === wanted)
  }

  test('makes the role with the password of its secret and never sends the password in clear', async () => {
    await logStatements('all')
    let logged = ''
    db.server.log.on('line', (line) => {
      logged += line
    })
    expect(await handler(event('Create'))).toMatchObject({ Data: { Role: 'made', Refused: '' } })
    const link = await connect(
      db.credentials({ user: 'made', password: 'päss "word" \\' }),
      false,
      'client',
      SOON_MS,
    )
    await link.close()
    // Comes in the log after all that came before it.
    await db.admin.query("select 'the last words'")
    await until(() => logged.includes('the last words'))
    expect(logged).toContain('SCRAM-SHA-256')
    expect(logged).not.toContain('päss')
    await logStatements('none')
  })

  test('can run again, and keeps the role on delete', async () => {
    await handler(event('Create'))
    const { PhysicalResourceId } = await handler(event('Update'))
    expect(await handler(event('Delete'))).toEqual({ PhysicalResourceId })
    expect(await abilities('made')).toMatchObject({ sees: true })
  })

  describe('fails with the remedy when the role cannot log in', () => {
    test.each([
      [
        'another password',
        "password 'of a person'",
        'with another password than the one in the secret',
      ],
      ['NOLOGIN', 'nologin', 'It has no LOGIN: ALTER ROLE "made" LOGIN;'],
      [
        'an expired password',
        "valid until '2020-01-01'",
        `Its password has expired: ALTER ROLE "made" VALID UNTIL 'infinity';`,
      ],
      ['no connection allowed', 'connection limit 0', 'ALTER ROLE "made" CONNECTION LIMIT 2;'],
    ])('%s', async (_, change, remedy) => {
      await db.admin.query(`alter role made ${change}`)
      await expect(handler(event('Update'))).rejects.toThrow(remedy)
      await db.admin.query(
        "alter role made login valid until 'infinity' connection limit -1 password 'päss \"word\" \\'",
      )
      await expect(handler(event('Update'))).resolves.toMatchObject({ Data: { Refused: '' } })
    })

    test('because it may not connect to the database', async () => {
      await db.admin.query('create database closed')
      await db.admin.query('revoke connect on database closed from public')
      await expect(handler(event('Update', { database: 'closed' }))).rejects.toThrow(
        /role made exists and can't log in: .* database closed.*42501/,
      )
    })

    test('succeeds on a full server', async () => {
      const walled = await db.role('walled')
      const admin = await db.link(superuser)
      const filling = await db.fill(app)
      const read = async () => db.credentials(walled)
      expect(await checkPassword(admin, 'walled', read, false)).toContain('the login was not tried')
      await Promise.all(filling.map(({ client }) => client.end()))
      await until(
        async () =>
          (await db.admin.query("select from pg_stat_activity where application_name = 'filler'"))
            .rowCount === 0,
      )
      expect(await checkPassword(admin, 'walled', read, false)).toBeUndefined()
      await admin.close()
    })
  })

  test('IAM requires a server with the role rds_iam', async () => {
    await expect(
      handler(event('Create', { secret: undefined, iamUser: 'by_iam' })),
    ).rejects.toThrow('rds_iam')
    await db.admin.query('create role rds_iam')
    expect(await handler(event('Create', { secret: undefined, iamUser: 'by_iam' }))).toMatchObject({
      Data: { Role: 'by_iam' },
    })
    await db.admin.query('alter role by_iam nologin')
    await expect(
      handler(event('Update', { secret: undefined, iamUser: 'by_iam' })),
    ).rejects.toThrow('ALTER ROLE "by_iam" LOGIN;')
  })

  test('fails with the statement that was refused', async () => {
    await expect(handler(event('Create', { adminSecret: 'wrong' }))).rejects.toMatchObject({
      kind: 'authentication',
    })
    await expect(handler(event('Create', { adminSecret: 'none' }))).rejects.toThrow(
      'secret none could not be read',
    )
  })
})

test('slotkeeper grants prints SQL that makes the role', async () => {
  const printed = execFileSync(
    process.execPath,
    ['dist/cli.mjs', 'grants', '--role', 'printed', '--url', db.server.url()],
    { encoding: 'utf8' },
  )
  expect(printed).toContain('pg_monitor')
  expect(await abilities('printed')).toBeUndefined()
  await db.admin.query(printed.replaceAll(/^--.*$/gm, ''))
  expect(await abilities('printed')).toEqual({ replication: true, sees: true, signals: true })
})
