import pg from 'pg'
import { helped, log, rounds } from './rounds.mjs'

const pool = new pg.Pool({ max: 10, idleTimeoutMillis: 10_000 })
if (helped) {
  pool.on('error', log)
  pool.on('connect', (client) => client.on('error', log))
}
await rounds(() => pool.query('select 1'))
