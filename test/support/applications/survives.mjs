// A pool with both listeners: it hears of the end of its sessions, and opens others when it is used again.
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

const pool = new pg.Pool({ max: 4 })
const log = (error) => process.stderr.write(`lost a connection: ${error.message}\n`)
pool.on('error', log)
pool.on('connect', (client) => client.on('error', log))

for (;;) {
  await Promise.all([1, 2, 3, 4].map(() => pool.query('select 1')))
  await pause(3_000)
}
