// postgres.js as it comes.
import { setTimeout as pause } from 'node:timers/promises'
import postgres from 'postgres'

const sql = postgres(process.env.DATABASE_URL, { max: 2 })
for (;;) {
  await Promise.all([sql`select 1`, sql`select 1`]).catch((error) => {
    process.stderr.write(`${error.code}\n`)
  })
  await pause(600)
}
