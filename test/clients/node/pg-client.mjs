import pg from 'pg'
import { helped, log, rounds } from './rounds.mjs'

let client
async function connect() {
  client = new pg.Client()
  if (helped) client.on('error', () => connect().catch(log))
  await client.connect()
}
await connect()
await rounds(() => client.query('select 1'))
