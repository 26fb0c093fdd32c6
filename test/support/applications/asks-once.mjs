// Asks once, and then waits for somebody to ask it.
import pg from 'pg'

const client = new pg.Client()
client.on('error', () => undefined)
await client.connect()
await client.query('select 1')
setInterval(() => undefined, 60_000)
