import { readFileSync, writeFileSync } from 'node:fs'
import type { Client, Pool } from 'pg'

/** Lets a role in without its password, where many connect and the proof would take the time. */
export async function trust(admin: Client | Pool, user: string): Promise<void> {
  const { rows } = await admin.query<{ hba_file: string }>('show hba_file')
  const file = rows[0]?.hba_file ?? ''
  writeFileSync(file, `host all ${user} 127.0.0.1/32 trust\n${readFileSync(file)}`)
  await admin.query('select pg_reload_conf()')
}
