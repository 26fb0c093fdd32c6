// A pool with both listeners. It hears of the end of its sessions, and opens others when it is used again.
// Arguments: the pause between two requests, ms; a file at whose appearance it ends.
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

const [, , pauseMs = '600', file] = process.argv
const pool = new pg.Pool({ max: 4 })
const log = (error) => process.stderr.write(`lost a connection: ${error.message}\n`)
pool.on('error', log)
pool.on('connect', (client) => client.on('error', log))

process.stdout.write(`pid ${process.pid}\n`)
if (file) setInterval(() => existsSync(file) && process.exit(0), 20)
for (;;) {
  await Promise.all([1, 2, 3, 4].map(() => pool.query('select 1').catch(log)))
  await pause(Number(pauseMs))
}
