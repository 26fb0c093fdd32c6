import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { helped, log, rounds } from './rounds.mjs'

const pool = new pg.Pool({ max: 10, idleTimeoutMillis: 10_000 })
if (helped) {
  pool.on('error', log)
  pool.on('connect', (client) => client.on('error', log))
}
const db = drizzle(pool)
await rounds(() => db.execute(sql`select 1`))
