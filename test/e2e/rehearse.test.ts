import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { freeze, isPending, signal } from '../support/process.ts'
import { until } from '../support/server.ts'

/** On the slowest machine. */
const REHEARSAL_MS = 100_000

const outside = mkdtempSync(join(tmpdir(), 'slotkeeper-rehearse-test-'))
/** Loaded before the rehearsal: a way out that no signal takes. */
const preloaded = join(outside, 'ways-out.mjs')
writeFileSync(
  preloaded,
  `process.on('SIGUSR2', () => {
    if (process.env.WAY_OUT === 'exit') process.exit(3)
    throw new Error('planted')
  })`,
)
afterAll(() => rmSync(outside, { recursive: true }))

const started: Rehearsal[] = []
afterEach(() => {
  // What a failed test leaves is gone before the next one.
  for (const rehearsal of started.splice(0)) {
    for (const { pid } of partsOf(rehearsal)) signal(pid, 'SIGKILL')
    rmSync(rehearsal.folder, { recursive: true, force: true, maxRetries: 5 })
  }
})

function rehearse(wayOut = ''): Rehearsal {
  // A folder of its own for temporary files shows what is left behind.
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-rehearse-'))
  chmodSync(folder, 0o755)
  const child = spawn(process.execPath, ['--import', preloaded, 'dist/cli.mjs', 'rehearse'], {
    env: { PATH: process.env.PATH, TMPDIR: folder, WAY_OUT: wayOut },
    stdio: ['ignore', 'pipe', 'pipe'],
    // The group of its processes is known by its pid.
    detached: true,
  })
  const said = { printed: '', complained: '' }
  child.stdout.on('data', (chunk) => {
    said.printed += chunk
  })
  child.stderr.on('data', (chunk) => {
    said.complained += chunk
  })
  const rehearsal = { child, folder, said, exited: once(child, 'exit') as Promise<[number]> }
  started.push(rehearsal)
  return rehearsal
}

type Rehearsal = {
  child: ChildProcess
  folder: string
  said: { printed: string; complained: string }
  exited: Promise<[number]>
}

/** What a process shows of itself; undefined where it has ended. */
function look(pid: string) {
  try {
    const [, name = '', group = ''] =
      /\((.*)\) \S+ \d+ (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
    return { pid: Number(pid), name, group: Number(group), at: readlinkSync(`/proc/${pid}/cwd`) }
  } catch {
    return undefined
  }
}

/** The processes that run now and are a rehearsal's: of its group, or at work in its folder. */
const partsOf = ({ child, folder }: Rehearsal) =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => look(pid) ?? [])
    .filter(({ group, at }) => group === child.pid || at.startsWith(folder))

const serversOf = (rehearsal: Rehearsal) =>
  partsOf(rehearsal).filter(({ at }) => at.startsWith(rehearsal.folder))

const has = (name: string) => (rehearsal: Rehearsal) =>
  partsOf(rehearsal).some((part) => part.name === name)
const hasPrinted = (words: string) => (rehearsal: Rehearsal) =>
  rehearsal.said.printed.includes(words)

const isUp = hasPrinted('PostgreSQL is up')
// A moment that was missed, since this process had to wait itself, is a later one.
const moments: Record<string, (rehearsal: Rehearsal) => boolean> = {
  'at its first words': hasPrinted('rehearsal'),
  'while the server is made': (rehearsal) => has('initdb')(rehearsal) || isUp(rehearsal),
  'while the server starts': (rehearsal) =>
    (has('postgres')(rehearsal) && !has('initdb')(rehearsal)) || isUp(rehearsal),
  'while the server fills up': hasPrinted('leak connections'),
  'between two sweeps': hasPrinted('connects again'),
}

async function reach(moment: string, rehearsal: Rehearsal): Promise<void> {
  await until(() => moments[moment]?.(rehearsal) || rehearsal.child.exitCode !== null, REHEARSAL_MS)
  expect(rehearsal.child.exitCode, rehearsal.said.complained).toBeNull()
}

/** Looks at once, since nothing runs any more that could still tidy up. */
async function expectNothingLeft(rehearsal: Rehearsal): Promise<void> {
  expect(readdirSync(rehearsal.folder)).toEqual([])
  expect(serversOf(rehearsal)).toEqual([])
  // What was killed outright may take its moment to be gone.
  await until(() => partsOf(rehearsal).length === 0)
}

const CTRL_C: Way = ['Ctrl-C', 'SIGINT', '', 130]
const OTHERS: Way[] = [
  ['SIGTERM', 'SIGTERM', '', 143],
  ['a closed terminal', 'SIGHUP', '', 129],
  ['an exit', 'SIGUSR2', 'exit', 3],
  ['an exception that nobody catches', 'SIGUSR2', 'throw', 1],
]
type Way = [name: string, signal: NodeJS.Signals, wayOut: string, code: number]

test.each([
  ...Object.keys(moments).map((moment) => [moment, ...CTRL_C] as const),
  ...OTHERS.map((way) => ['while the server is made', ...way] as const),
  ...OTHERS.map((way) => ['while the server fills up', ...way] as const),
])('stopped %s by %s, leaves neither a file nor a process', async (...how) => {
  const [moment, , name, wayOut, code] = how
  const rehearsal = rehearse(wayOut)
  await reach(moment, rehearsal)
  rehearsal.child.kill(name)
  expect((await rehearsal.exited)[0]).toBe(code)
  await expectNothingLeft(rehearsal)
  if (wayOut !== 'throw') expect(rehearsal.said.complained).toBe('')
})

test('completes the cleanup despite a second Ctrl-C and a server that stops slowly', async () => {
  const rehearsal = rehearse()
  await reach('while the server fills up', rehearsal)
  const servers = serversOf(rehearsal).map(({ pid }) => pid)
  // Stopped for sure: a process takes a SIGQUIT that comes before its SIGSTOP has taken effect.
  await Promise.all(servers.map(freeze))
  rehearsal.child.kill('SIGINT')
  await until(() => servers.some((pid) => isPending('SIGQUIT', pid)))
  rehearsal.child.kill('SIGINT')
  for (const pid of servers) signal(pid, 'SIGCONT')
  expect((await rehearsal.exited)[0]).toBe(130)
  await expectNothingLeft(rehearsal)
})
