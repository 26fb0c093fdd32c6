import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { application } from '../../support/drill.ts'
import { hasEnded, signal } from '../../support/process.ts'
import { until } from '../../support/until.ts'

type Run = {
  child: ChildProcess
  mark: string
  folder: string
  said: string
  exited: Promise<unknown>
}

const runs: Run[] = []
afterEach(() => {
  // What a failed test leaves is gone before the next one.
  for (const run of runs.splice(0)) {
    for (const pid of partsOf(run)) signal(pid, 'SIGKILL')
    rmSync(run.folder, { recursive: true, force: true, maxRetries: 5 })
  }
})

/** Runs the built command, with a folder of its own for temporary files and a mark on all its processes. */
function drill(...args: string[]): Run {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-drill-'))
  chmodSync(folder, 0o755)
  const mark = randomUUID()
  const child = spawn(process.execPath, ['dist/cli.mjs', 'drill', '--idle', '200ms', ...args], {
    env: { PATH: process.env.PATH, TMPDIR: folder, DRILL_TEST: mark },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const run: Run = { child, mark, folder, said: '', exited: once(child, 'exit') }
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      run.said += chunk
    })
  }
  runs.push(run)
  return run
}

/** The processes that run now and belong to a drill: by the mark, which all inherit, or at work in its folder. */
function partsOf({ mark, folder }: Run): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        if (readlinkSync(`/proc/${pid}/cwd`).startsWith(folder)) return true
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`DRILL_TEST=${mark}`)
      } catch {
        return false
      }
    })
    .map(Number)
    .filter((pid) => !hasEnded(pid))
}

/** Looks at once, because nothing runs any more that could still tidy up. */
function expectNothingLeft(run: Run): void {
  expect(partsOf(run)).toEqual([])
  expect(readdirSync(run.folder)).toEqual([])
}

const commandOf = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8')

const reach = (run: Run, words: string) =>
  until(() => run.said.includes(words) || run.child.exitCode !== null, 60_000)

const WAYS = ['', 'children', 'deaf children', 'flood', 'mute', 'hang deaf']

test.each(WAYS)('a drill that ends leaves nothing of COMMAND: %s', async (ways) => {
  const args = ways.split(' ').filter(Boolean)
  const run = drill(
    '--times',
    '1',
    '--patience',
    '500ms',
    '--',
    ...application('stubborn', ...args),
  )
  await run.exited
  expect(run.child.exitCode, run.said).toBe(1)
  expect(run.said).toContain('It did not come back')
  expectNothingLeft(run)
})

test.each<[string, NodeJS.Signals, number, string]>([
  ...WAYS.map((way): [string, NodeJS.Signals, number, string] => [way, 'SIGINT', 130, 'ready']),
  ['mute deaf', 'SIGINT', 130, 'ready'],
  ['children', 'SIGTERM', 143, 'ready'],
  ['children', 'SIGHUP', 129, 'ready'],
  ['children', 'SIGINT', 130, 'COMMAND runs'],
  ['children', 'SIGINT', 130, 'cut 1'],
])('stopped, it leaves nothing: COMMAND is "%s", %s, exit code %s, at "%s"', async (...how) => {
  const [ways, name, code, moment] = how
  const args = ways.split(' ').filter(Boolean)
  const run = drill('--verbose', '--', ...application('stubborn', ...args))
  await reach(run, moment)
  expect(run.child.exitCode, run.said).toBeNull()
  run.child.kill(name)
  await run.exited
  expect(run.child.exitCode).toBe(code)
  expectNothingLeft(run)
})

test('a second Ctrl-C does not interrupt the cleanup', async () => {
  const run = drill('--verbose', '--', ...application('stubborn', 'deaf', 'children'))
  await reach(run, 'ready')
  run.child.kill('SIGINT')
  // It ignores SIGTERM, so the cleanup waits for it.
  await until(() => partsOf(run).some((pid) => commandOf(pid).startsWith('was asked to end')))
  run.child.kill('SIGINT')
  await run.exited
  expect(run.child.exitCode).toBe(130)
  expectNothingLeft(run)
})
