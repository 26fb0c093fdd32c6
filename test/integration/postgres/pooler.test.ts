import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { connect } from '../../../lambda/postgres/connect.ts'
import { freePort } from '../../../stand-ins/postgres.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'

const SOON_MS = 10_000
const NOBODY = 65534

const pgbouncer = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find(existsSync)
if (pgbouncer === undefined) {
  process.stderr.write(
    "pooler.test.ts: skips PgBouncer, which is not installed (Debian's package pgbouncer)\n",
  )
}

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)

/** PgBouncer as it is delivered, but for where it listens and leads to. */
async function startPgBouncer(program: string) {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-pooler-'))
  chmodSync(folder, 0o755)
  const port = await freePort()
  writeFileSync(join(folder, 'users.txt'), `"${reaper.user}" "${reaper.password}"\n`)
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    [
      '[databases]',
      `postgres = host=127.0.0.1 port=${db.server.port}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = scram-sha-256',
      `auth_file = ${join(folder, 'users.txt')}`,
    ].join('\n'),
  )
  // It refuses to run as root.
  const asRoot = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
  const child = spawn(program, [join(folder, 'pgbouncer.ini')], { ...asRoot, stdio: 'ignore' })
  const exited = once(child, 'exit')
  afterAll(async () => {
    child.kill('SIGKILL')
    await exited
    rmSync(folder, { recursive: true })
  })
  return port
}

describe.skipIf(pgbouncer === undefined)('PgBouncer', async () => {
  const port = pgbouncer === undefined ? 0 : await startPgBouncer(pgbouncer)
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
