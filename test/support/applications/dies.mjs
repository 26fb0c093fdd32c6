// A pool as it comes, without a listener for errors: the end of an idle session ends the process.
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

const pool = new pg.Pool({ max: 4 })
for (;;) {
  await Promise.all([1, 2, 3, 4].map(() => pool.query('select 1')))
  await pause(600)
}
