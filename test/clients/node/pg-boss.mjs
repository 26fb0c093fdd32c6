import PgBoss from 'pg-boss'
import { helped, log, rounds } from './rounds.mjs'

// Without its own schedules, its sessions rest between the jobs that are sent here.
const boss = new PgBoss({
  connectionString: process.env.DATABASE_URL,
  supervise: false,
  schedule: false,
})
if (helped) {
  boss.on('error', log)
}
await boss.start()
await boss.createQueue('mail')
await rounds(() => boss.send('mail', {}))
