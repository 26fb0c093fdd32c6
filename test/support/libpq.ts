import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { findPsql } from './psql.ts'
import { testServer } from './server.ts'

export const SOON_MS = 10_000
export const psql = findPsql()
if (psql === undefined) {
  process.stderr.write(
    "libpq.test.ts: psql is not here (Debian's postgresql-client), so nothing is compared with it\n",
  )
}

// Two, so that a port which was not understood leads somewhere else.
const db = await testServer()
export const other = await testServer()
export const socketFolder = (await db.admin.query('show unix_socket_directories')).rows[0]
  .unix_socket_directories as string
export const { port } = db.server
export const otherPort = other.server.port
const me = userInfo().username

const passwords = {
  plain: 'hush',
  hash: 'hu#sh',
  question: 'hu?sh',
  slash: 'hu/sh',
  ampersand: 'hu&sh=1',
  plus: 'hu+sh',
  blank: 'hu sh',
  percent: 'hu%41sh',
  colon: 'hu:s\\h',
  letters: 'hüsch数',
  [me]: 'hush of mine',
}
export const DATABASES = ['eu/shop', 'crm&erp', 'a@b', 'a+b', 'a b', '100%', me, 'plain', 'shop']

for (const { admin } of [db, other]) {
  for (const [role, password] of Object.entries(passwords)) {
    await admin.query(`create role "${role}" login password '${password}'`)
  }
  for (const name of DATABASES) await admin.query(`create database "${name}"`)
}

export const home = mkdtempSync(join(tmpdir(), 'slotkeeper-home-'))
afterAll(() => rmSync(home, { recursive: true }))

export function file(name: string, lines: string[], mode = 0o600): string {
  const path = join(home, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, `${lines.join('\n')}\n`)
  chmodSync(path, mode)
  return path
}

file('.pgpass', [
  '# plain:plain',
  '',
  `127.0.0.1:${port}:shop:colon:hu\\:s\\\\h`,
  `localhost:${port}:*:plain:hush`,
  `127.0.0.1:${port}:crm&erp:plain:wrong for this one:and more`,
  `127.0.0.1:*:a\\:b:plain:wrong`,
  `127.0.0.1:${port}:shop:plain:hush:ignored`,
  `127.0.0.1:${port}:shop:plain:a later line`,
  `${socketFolder}:${port}:shop:plain:hush`,
  `127.0.0.1:*:*:${me}:hush of mine`,
])
export const passfile = file('other.pgpass', ['*:*:*:*:hush'])
export const loose = file('loose.pgpass', ['*:*:*:*:hush'], 0o644)
file('.pg_service.conf', [
  '# services',
  '[other]',
  'host=127.0.0.1',
  `port=${otherPort}`,
  '[shop]',
  '  host=127.0.0.1  ',
  `port=${port}`,
  `port=${otherPort}`,
  'user=plain',
  'password=hush',
  'dbname=shop',
  '[second]',
  'host=127.0.0.1',
])
export const services = file('services.conf', [
  '[here]',
  'host=127.0.0.1',
  `port=${port}`,
  'dbname=shop',
])
export const badServices = file('bad.conf', ['[here]', 'host = 127.0.0.1', `port=${port}`])
export const unknownInService = file('bad2.conf', ['[here]', 'hosts=127.0.0.1', `port=${port}`])
file('machine/pg_service.conf', ['[machine]', 'host=127.0.0.1', `port=${port}`, 'dbname=shop'])

export const at = `127.0.0.1:${port}`
export const folder = encodeURIComponent(socketFolder)
export const known = { PGUSER: 'plain', PGPASSWORD: 'hush', PGDATABASE: 'shop' }
