import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { REAPER_ROLES, testServer, until } from '../support/server.ts'

test('a look that came in through the reserve leaves it free until the next one', async () => {
  const db = await testServer({ max_connections: '12', reserved_connections: '2' })
  const reaper = await db.role('reaper', [...REAPER_ROLES, 'pg_use_reserved_connections'])
  const app = await db.role('shop_app')
  await db.fill(app)
  const child = spawn(
    process.execPath,
    ['dist/cli.mjs', 'watch', '--json', '--every', '500ms', '--url', db.server.url(reaper)],
    { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  for (let looks = 0; looks < 3; looks += 1) {
    const { value } = await lines.next()
    expect(JSON.parse(value)).toMatchObject({ entry: 'client', slots: { available: 0 } })
    await until(async () => {
      const { rows } = await db.admin.query("select from pg_stat_activity where usename = 'reaper'")
      return rows.length === 0
    })
  }
  child.kill('SIGTERM')
  await once(child, 'close')
})
