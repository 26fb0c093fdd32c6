import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { REAPER_ROLES, testServer } from './server.ts'

export { slotkeeper } from './command.ts'

export const db = await testServer({ max_connections: '60' })
export const reaper = await db.role('reaper', REAPER_ROLES)
export const app = await db.role('shop_app')

export const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))

export function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

export const atOnce = file(
  'policy.json',
  JSON.stringify({
    scope: { users: ['shop_*'] },
    rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
  }),
)

export const url = db.server.url(reaper)
