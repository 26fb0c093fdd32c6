import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { until } from '../support/server.ts'

// A folder of its own for temporary files shows what is left behind.
const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-rehearse-'))
chmodSync(folder, 0o755)
afterAll(() => rmSync(folder, { recursive: true }))

/** For a rehearsal that shares two cores with every other test. */
const SLOW_MS = 40_000
const TEST_MS = 60_000

/** Processes that have the text in their command line. */
function processesWith(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text)
    } catch {
      // It ended while the list was read.
      return false
    }
  })
}

// Before the server is there, while it fills up, and between two sweeps.
test.each(['rehearsal', 'leak connections', 'connects again'])(
  'Ctrl-C after "%s" leaves nothing behind',
  async (words) => {
    const child = spawn(process.execPath, ['dist/cli.mjs', 'rehearse'], {
      env: { PATH: process.env.PATH, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let printed = ''
    child.stdout.on('data', (chunk) => {
      printed += chunk
    })
    await until(() => printed.includes(words) || child.exitCode !== null, SLOW_MS)
    expect(printed).toContain(words)
    child.kill('SIGINT')
    const [code] = await once(child, 'exit')
    expect(code).toBe(130)
    await until(() => processesWith(folder).length === 0)
    expect(readdirSync(folder)).toEqual([])
  },
  TEST_MS,
)
