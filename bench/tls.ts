import { execFileSync } from 'node:child_process'
import { chownSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from 'pg'

/** Gives a server a certificate for `localhost` and enables TLS. Returns the authority's file. */
export async function serveTls(admin: Client): Promise<string> {
  const { rows } = await admin.query<{ data_directory: string }>('show data_directory')
  const folder = rows[0]?.data_directory ?? ''
  execFileSync(
    'openssl',
    'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout server.key -out server.crt'.split(
      ' ',
    ),
    { cwd: folder, stdio: 'pipe' },
  )
  if (process.getuid?.() === 0) chownSync(join(folder, 'server.key'), 65534, 65534)
  await admin.query('alter system set ssl = on')
  await admin.query('select pg_reload_conf()')
  const file = join(folder, 'server.crt')
  while ((await admin.query('show ssl')).rows[0].ssl !== 'on');
  return file
}
