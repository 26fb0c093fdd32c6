import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { REAPER_ROLES, testServer } from './server.ts'

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

/** Runs the built command as a person would; its output and exit code. */
export function slotkeeper(args: string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      ['dist/cli.mjs', ...args],
      { env: { PATH: process.env.PATH, ...env } },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    )
  })
}

export const url = db.server.url(reaper)
