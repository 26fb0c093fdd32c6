// A client that stays checked out over a slow call. As it comes, it has the one listener that node-postgres's manual names.
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { helped, log, pauseMs, report } from './rounds.mjs'

const pool = new pg.Pool({ max: 10, idleTimeoutMillis: 10_000 })
pool.on('error', log)
if (helped) pool.on('connect', (client) => client.on('error', log))

async function request() {
  const client = await pool.connect()
  let broken
  try {
    await client.query('select 1')
    await pause(pauseMs())
    await client.query('select 1')
  } catch (error) {
    broken = error
    throw error
  } finally {
    client.release(broken)
  }
}
for (let round = 1; ; round++) await report(round, request)
