import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { helped, log, rounds } from './rounds.mjs'

const pool = new pg.Pool({ max: 10, idleTimeoutMillis: 10_000 })
if (helped) {
  pool.on('error', log)
  pool.on('connect', (client) => client.on('error', log))
}
const db = new Kysely({ dialect: new PostgresDialect({ pool }) })
await rounds(() => sql`select 1`.execute(db))
