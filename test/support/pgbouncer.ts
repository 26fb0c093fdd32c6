import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { freePort, type Server } from '../../stand-ins/postgres.ts'
import type { Role } from './server.ts'

const NOBODY = 65534

/** The program, or undefined where it is not installed; the output then says what is skipped. */
export const pgbouncer = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find(existsSync)
if (pgbouncer === undefined) {
  process.stderr.write("PgBouncer's tests are skipped: it is not installed (Debian: pgbouncer)\n")
}

/**
 * PgBouncer as it is delivered, but for where it listens and leads to, for one role. It goes when the file is done.
 * @param settings more lines of its section
 */
export async function startPgBouncer(
  program: string,
  server: Server,
  { user, password }: Role,
  settings: string[] = [],
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-pooler-'))
  chmodSync(folder, 0o755)
  const port = await freePort()
  writeFileSync(join(folder, 'users.txt'), `"${user}" "${password}"\n`)
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    [
      '[databases]',
      `postgres = host=127.0.0.1 port=${server.port}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = scram-sha-256',
      `auth_file = ${join(folder, 'users.txt')}`,
      ...settings,
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
