// A pool with both listeners. It hears of the end of its sessions, and opens others when it is used again: when all
// have ended, or without end. Arguments: `load` for a load without end; a file at whose appearance it ends.
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { together } from './together.mjs'

const [, , how, file] = process.argv
const pool = new pg.Pool({ max: 4, idleTimeoutMillis: 0 })
const log = (error) => process.stderr.write(`lost a connection: ${error.message}\n`)
pool.on('error', log)
pool.on('connect', (client) => client.on('error', log))

process.stdout.write(`pid ${process.pid}\n`)
if (file) setInterval(() => existsSync(file) && process.exit(0), 20)
for (;;) {
  const sql = how === 'load' ? 'select 1' : together(4)
  await Promise.all([1, 2, 3, 4].map(() => pool.query(sql).catch(log)))
  while (how !== 'load' && pool.totalCount > 0) await pause(20)
  await pause(20)
}
