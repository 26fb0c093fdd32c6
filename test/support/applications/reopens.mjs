// A pool with a minimum of four. What is ended, it opens again at once.
import pg from 'pg'
import { together } from './together.mjs'

async function open() {
  const client = new pg.Client()
  client.on('error', () => undefined)
  client.on('end', open)
  await client.connect()
  await client.query(together(4))
}
await Promise.all([1, 2, 3, 4].map(open))
