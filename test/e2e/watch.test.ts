import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import type { Report } from '../../lambda/core/report.ts'
import { freePort } from '../../stand-ins/postgres.ts'
import { type Fate, startProxy } from '../../stand-ins/proxy.ts'
import { app, atOnce, db, folder, reaper, slotkeeper, url } from '../support/cli.ts'
import { until } from '../support/server.ts'

type Line = Report & { error?: { kind: string; message: string } }

/** A watch that runs in the background. */
function start(args: string[], env: Record<string, string> = {}, stdout: 'pipe' | number = 'pipe') {
  const all = ['dist/cli.mjs', 'watch', '--every', '500ms', ...args]
  const child = spawn(process.execPath, all, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', stdout, 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let err = ''
  child.stderr?.on('data', (chunk) => {
    err += chunk
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, err }))
  return { child, ended }
}

/** The next lines of its output. */
function linesOf({ stdout }: ChildProcess): () => Promise<string> {
  const lines = createInterface({ input: stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  return async () => (await lines.next()).value
}

/** The processes of the watch's sessions, walsenders among them. */
async function ownPids(): Promise<number[]> {
  const { rows } = await db.admin.query<{ pid: number }>(
    'select pid from pg_stat_activity where usename = $1',
    [reaper.user],
  )
  return rows.map(({ pid }) => pid)
}

const isGone = () => until(async () => (await ownPids()).length === 0)

test('--json prints one report a line, over one connection, until a signal ends it', async () => {
  const { child, ended } = start(['--json', '--url', url])
  const next = linesOf(child)
  const reports = [await next(), await next()].map((line) => JSON.parse(line) as Line)
  const pids = await ownPids()
  reports.push(JSON.parse(await next()) as Line)
  expect(pids).toHaveLength(1)
  expect(await ownPids()).toEqual(pids)
  const once = JSON.parse((await slotkeeper(['sweep', '--json', '--url', url])).out)
  for (const report of reports) expect(Object.keys(report)).toEqual(Object.keys(once))
  expect(reports.map(({ entry }) => entry)).toEqual(['client', 'warm', 'warm'])
  expect(reports.map(({ sessions }) => sessions.opened === null)).toEqual([true, false, false])
  child.kill('SIGTERM')
  expect(await ended).toEqual({ code: 143, signal: null, err: '' })
  await isGone()
})

test('without a terminal it prints one line a look and one for each change, and ends no session', async () => {
  const victims = await Promise.all([1, 2].map(() => db.open(app, 'web')))
  const { child, ended } = start(['--policy', atOnce, '--url', url])
  const next = linesOf(child)
  expect(await next()).toMatch(/^\d\d:\d\d:\d\d UTC \d+ of 57 slots .*; would reap 2$/)
  const first = [await next(), await next(), await next()]
  expect(first).toContain('  would reap 2 by now: shop_app@postgres web 127.0.0.1')
  expect(first).toContain('  shop_app@postgres web 127.0.0.1: 0 -> 2 sessions')
  // Nothing changes between two looks.
  expect(await next()).toMatch(/; would reap 2$/)
  expect(await next()).toMatch(/; would reap 2$/)
  await db.end(victims.slice(0, 1))
  await until(async () => (await next()) === '  shop_app@postgres web 127.0.0.1: 2 -> 1 sessions')
  expect(victims[1]?.isAlive()).toBe(true)
  child.kill('SIGINT')
  expect((await ended).code).toBe(130)
  await isGone()
})

test('--reap ends sessions, and says so', async () => {
  const victim = await db.open(app, 'web')
  const { child, ended } = start(['--reap', '--policy', atOnce, '--json', '--url', url])
  const report = JSON.parse(await linesOf(child)()) as Line
  expect(report).toMatchObject({ mode: 'reap', reaped: [{ pid: victim.pid, rule: 'now' }] })
  await victim.ended
  child.kill('SIGTERM')
  await ended
})

test('a closed pipe ends it, and gives the connection back', async () => {
  const { child, ended } = start(['--json', '--url', url])
  await linesOf(child)()
  child.stdout?.destroy()
  expect(await ended).toEqual({
    code: 1,
    signal: null,
    err: expect.stringMatching(/^slotkeeper: the output could not be written: .*EPIPE.*\n$/),
  })
  await isGone()
})

test('a reader who does not read holds up no signal', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reading = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  const writing = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK)
  expect(() => {
    for (;;) writeSync(writing, Buffer.alloc(4096))
  }).toThrow('EAGAIN')
  const { child, ended } = start(['--json', '--url', url], {}, writing)
  await until(async () => (await ownPids()).length === 1)
  child.kill('SIGTERM')
  expect(await ended).toMatchObject({ err: '' })
  closeSync(reading)
  closeSync(writing)
  await isGone()
})

test('a lost server is an error a line, until it is back', async () => {
  const proxy = await startProxy(db.server)
  onTestFinished(proxy.close)
  const { child, ended } = start(['--json', '--url', url.replace(/:\d+\//, `:${proxy.port}/`)])
  const next = linesOf(child)
  const nextOne = async () => JSON.parse(await next()) as Line
  await next()
  proxy.to = { host: '127.0.0.1', port: await freePort() }
  proxy.cut()
  let line = await nextOne()
  while (!line.error) line = await nextOne()
  expect(line).toEqual({
    error: { kind: 'unreachable', message: expect.stringContaining('127.0.0.1') },
  })
  proxy.to = db.server
  while (line.error) line = await nextOne()
  expect(line).toMatchObject({ entry: 'client' })
  child.kill('SIGTERM')
  expect(await ended).toMatchObject({ code: 143 })
})

test('a password that was rotated is read again', async () => {
  const rotating = await db.role('rotating', ['pg_monitor'])
  const { host, port } = db.server
  const passfile = join(folder, 'pgpass')
  const write = (password: string) =>
    writeFileSync(passfile, `${host}:${port}:postgres:rotating:${password}\n`, { mode: 0o600 })
  write(rotating.password)
  const { child } = start(['--json', '--url', `postgres://rotating@${host}:${port}/postgres`], {
    PGPASSFILE: passfile,
  })
  const next = linesOf(child)
  await next()
  write('another')
  await db.admin.query("alter role rotating password 'another'")
  await db.admin.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rotating'",
  )
  let line = JSON.parse(await next()) as Line
  while (line.entry === 'warm') line = JSON.parse(await next()) as Line
  expect(line).toMatchObject({ entry: 'client' })
  child.kill('SIGTERM')
})

test("on a full server it looks through a walsender's slot, and gives it back each time", async () => {
  await db.admin.query(`alter role ${reaper.user} replication`)
  await db.fill(app)
  const { child, ended } = start(['--json', '--url', url])
  const next = linesOf(child)
  for (let looks = 0; looks < 2; looks += 1) {
    expect(JSON.parse(await next())).toMatchObject({ entry: 'walsender', slots: { available: 0 } })
    await isGone()
  }
  child.kill('SIGTERM')
  await ended
  await db.admin.query(`alter role ${reaper.user} noreplication`)
})

test.each<[string, string[], string[], NodeJS.Signals[], string]>([
  ['observes', [], [], ['SIGTERM'], ''],
  [
    'reaps, at the second signal',
    ['--reap', '--policy', atOnce],
    [],
    ['SIGTERM', 'SIGTERM'],
    'slotkeeper: a sweep was cut off. It may have ended sessions that were not shown.\n',
  ],
])('ends while a server does not answer, where it %s', async (_, mode, __, signals, said) => {
  const proxy = await startProxy(db.server)
  onTestFinished(proxy.close)
  const { child, ended } = start([
    ...mode,
    '--json',
    '--url',
    url.replace(/:\d+\//, `:${proxy.port}/`),
  ])
  await linesOf(child)()
  let isAsked = false
  proxy.judge = (): Fate => {
    isAsked = true
    return 'lose'
  }
  await until(() => isAsked)
  for (const signal of signals) child.kill(signal)
  // Two signals that arrive as one are followed by another.
  const again = setInterval(() => signals.length > 1 && child.kill('SIGTERM'), 100)
  expect(await ended).toEqual({ code: 143, signal: null, err: said })
  clearInterval(again)
})

test.each([
  ['reaping without a policy', ['--reap'], '--reap needs a policy'],
  ['both modes', ['--reap', '--observe', '--policy', 'incident'], 'exclude each other'],
  [
    'looks that are too frequent',
    ['--every', '499ms'],
    '--every: found "499ms"; expected a duration',
  ],
  ['looks that are too rare', ['--every', '25h'], 'expected a duration from 500ms to 24h'],
  ['a duration without a unit', ['--every', '2'], '--every: found "2"'],
  ['a policy with a mistake', ['--policy', 'incidnt'], 'did you mean "incident"'],
])('exits 2 for %s', async (_, args, words) => {
  const answer = await slotkeeper(['watch', ...args, '--url', url])
  expect(answer).toMatchObject({ code: 2, out: '', err: expect.stringContaining(words) })
})

test('a first look that fails is the error of a sweep', async () => {
  const nowhere = 'postgres://x:y@127.0.0.1:1/z'
  const answer = await slotkeeper(['watch', '--json', '--url', nowhere])
  expect(answer).toMatchObject({ code: 3, err: expect.stringContaining('127.0.0.1:1') })
  expect(JSON.parse(answer.out)).toMatchObject({ error: { kind: 'unreachable' } })
  expect(await slotkeeper(['watch', '--url', nowhere])).toMatchObject({ code: 3, out: '' })
})
