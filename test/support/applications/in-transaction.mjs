// Holds a transaction open over a pause, as a slow call in the middle of it does. Arguments: `both` for both listeners.
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

const pool = new pg.Pool()
const log = (error) => process.stderr.write(`lost a connection: ${error.message}\n`)
pool.on('error', log)
if (process.argv[2] === 'both') pool.on('connect', (client) => client.on('error', log))

async function buy() {
  const client = await pool.connect()
  let broken
  try {
    await client.query('begin')
    await pause(1_500)
    await client.query('commit')
  } catch (error) {
    broken = error
    log(error)
  } finally {
    client.release(broken)
  }
}
for (;;) await buy()
