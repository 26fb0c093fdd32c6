// Beside its pool, one session listens and one holds an advisory lock. Each says if it ends.
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

for (const [name, sql] of [
  ['listener', 'listen orders'],
  ['leader', 'select pg_advisory_lock(42)'],
]) {
  const client = new pg.Client()
  client.on('error', () => process.stdout.write(`the ${name} was ended\n`))
  await client.connect()
  await client.query(sql)
}
const pool = new pg.Pool({ max: 2 })
pool.on('error', () => undefined)
for (;;) {
  await Promise.all([pool.query('select 1'), pool.query('select 1')]).catch(() => undefined)
  await pause(600)
}
