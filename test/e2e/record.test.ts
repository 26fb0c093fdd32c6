import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { Frame } from '../../lambda/core/recording.ts'
import { createFrameReader } from '../../lambda/core/recording-reader.ts'
import { freePort } from '../../stand-ins/postgres.ts'
import { startProxy } from '../../stand-ins/proxy.ts'
import { app, db, folder, slotkeeper } from '../support/cli.ts'
import { until } from '../support/until.ts'

/** Less than a sweep that reaps: it may see, and end nothing. */
const observer = await db.role('observer', ['pg_monitor'])
const url = db.server.url(observer)
const network = await startProxy(db.server)
afterAll(() => network.close())
const throughNetwork = url.replace(`:${db.server.port}`, `:${network.port}`)

let out: string
let files = 0
beforeEach(() => {
  files += 1
  out = join(folder, `recording-${files}.jsonl`)
})

/** Every line is whole, and of the recording. */
function read(text: string): Frame[] {
  expect(text).toMatch(/^$|\n$/)
  const reader = createFrameReader()
  const lines = text.split('\n').slice(0, -1)
  return [...lines.map((line) => reader.read(line)), reader.end()].flatMap((result) => {
    if (!result.ok) throw new Error(result.problems.join('; '))
    return result.value ? [result.value] : []
  })
}

/** A recording that goes on, and what it said so far. */
function start(command: string[], stdio: 'pipe' | 'ignore' = 'pipe') {
  const child = spawn(command[0] as string, command.slice(1), {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', stdio, 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout?.on('data', (chunk) => {
    said.out += chunk
  })
  child.stderr?.on('data', (chunk) => {
    said.err += chunk
  })
  const exited = once(child, 'close') as Promise<[number | null, string | null]>
  return { child: child as ChildProcess, said, exited }
}
const record = (...args: string[]) => start([process.execPath, 'dist/cli.mjs', 'record', ...args])
const framesIn = (file: string) =>
  existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0

test('records snapshots at regular times, without queries and without ending anything', async () => {
  const idle = await db.open(app, 'web', "select 'hush-hush'")
  const migration = await db.open(app, 'migrate', 'select pg_advisory_lock(1)')
  const listener = await db.open(app, 'listener', 'listen news')
  const { said, exited } = record('--url', url, '--for', '2s', '--every', '1s', '--out', out)
  await until(() => framesIn(out) >= 1)
  await listener.client.query("select 'do not log'")
  expect(await exited).toEqual([0, null])
  expect(said.out).toBe('')
  const frames = read(readFileSync(out, 'utf8'))
  // A slow look delays the next one.
  expect(frames.length).toBeGreaterThanOrEqual(2)
  expect(frames.length).toBeLessThanOrEqual(3)
  const target = `127.0.0.1:${db.server.port}`
  expect(said.err.split('\n')).toEqual([
    `slotkeeper: recording ${target} every 1s for 2s, to ${out}`,
    expect.stringMatching(
      new RegExp(`^slotkeeper: recorded ${frames.length} snapshots of ${target} in \\d+s, with `),
    ),
    '',
  ])
  expect(said.err).toContain(`Next: slotkeeper replay ${out} --policy`)

  const text = readFileSync(out, 'utf8')
  expect(text).not.toMatch(/hush-hush|do not log|listen news|secret of/)
  const ats = frames.map(({ snapshot }) => snapshot.atMs)
  expect(ats).toEqual([...ats].sort((a, b) => a - b))
  for (const { snapshot, reaped, ...frame } of frames) {
    expect(frame.target).toBe(target)
    expect(reaped.size).toBe(0)
    const of = (pid: number) => snapshot.sessions.find((session) => session.pid === pid)
    expect(of(idle.pid)).toMatchObject({ application: 'web', state: 'idle', advisoryLock: false })
    expect(of(migration.pid)).toMatchObject({ advisoryLock: true })
    // Once seen, it counts as a listener.
    expect(of(listener.pid)).toMatchObject({ listening: true })
  }
  expect([idle, migration, listener].every((session) => session.isAlive())).toBe(true)
})

test('- is standard output', async () => {
  const answer = await slotkeeper(['record', '--url', url, '--for', '1ms', '--out', '-'])
  expect(answer.code).toBe(0)
  expect(read(answer.out).length).toBeGreaterThanOrEqual(1)
  expect(answer.err).toContain('in standard output.')
})

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s ends it with a whole last line, a summary and exit code 0',
  async (signal) => {
    const { child, said, exited } = record('--url', url, '--every', '1h', '--out', out)
    await until(() => framesIn(out) === 1)
    child.kill(signal)
    expect(await exited).toEqual([0, null])
    expect(read(readFileSync(out, 'utf8'))).toHaveLength(1)
    expect(said.err).toContain('every 1h until Ctrl-C')
    expect(said.err).toContain('slotkeeper: recorded 1 snapshot of ')
  },
)

test('a second signal does not wait for a look that hangs', async () => {
  const { child, exited } = record('--url', throughNetwork, '--every', '1s', '--out', out)
  await until(() => framesIn(out) === 1)
  const asked = new Promise<void>((resolve) => {
    network.judge = () => {
      resolve()
      return 'lose'
    }
  })
  await asked
  child.kill('SIGINT')
  // Signals that come together count as one.
  const again = setInterval(() => child.kill('SIGINT'), 10)
  expect(await exited).toEqual([130, null])
  clearInterval(again)
  network.judge = () => 'pass'
  expect(read(readFileSync(out, 'utf8'))).toHaveLength(1)
})

test('a server that is lost leaves a gap, and the recording goes on', async () => {
  const { child, said, exited } = record('--url', throughNetwork, '--every', '1s', '--out', out)
  await until(() => framesIn(out) >= 1)
  network.to = { host: '127.0.0.1', port: await freePort() }
  network.cut()
  await until(() => said.err.includes('no snapshot: '))
  const lostAt = await clockMs()
  const before = framesIn(out)
  const backAt = await clockMs()
  network.to = db.server
  await until(() => framesIn(out) > before)
  child.kill('SIGINT')
  expect(await exited).toEqual([0, null])
  expect(said.err).toMatch(
    /^slotkeeper: no snapshot: .* The recording has a gap until a later look succeeds\.$/m,
  )
  expect(said.err).toMatch(/^slotkeeper: snapshots again, after a gap of \d+s$/m)
  expect(said.err).toMatch(
    /^slotkeeper: recorded .* \d+ looks? failed; the longest gap is \d+s\. Next/m,
  )
  // As the gap is visible in the recording: by its time alone.
  const ats = read(readFileSync(out, 'utf8')).map(({ snapshot }) => snapshot.atMs)
  expect(ats.filter((at) => at <= lostAt)).toHaveLength(before)
  expect(ats.filter((at) => at > lostAt && at < backAt)).toEqual([])
})

async function clockMs(): Promise<number> {
  const { rows } = await db.admin.query(
    'select extract(epoch from clock_timestamp())::float8 as now',
  )
  return rows[0].now * 1000
}

describe('what can not be recorded, or not written', () => {
  test.each<[string, string[], number, RegExp]>([
    ['no file', [], 2, /required option '--out <file>' not specified/],
    [
      'a wrong --for',
      ['--for', 'soon', '--out', '-'],
      2,
      /--for: found "soon"; expected a duration/,
    ],
    ['an empty --for', ['--for', '', '--out', '-'], 2, /--for: found ""; expected a duration/],
    [
      'a short --every',
      ['--every', '999ms', '--out', '-'],
      2,
      /--every: found "999ms"; expected 1s to 1h/,
    ],
    [
      'a long --every',
      ['--every', '2h', '--out', '-'],
      2,
      /--every: found "2h"; expected 1s to 1h/,
    ],
    ['a folder', ['--out', folder], 2, /--out .*: can't be written: EISDIR/],
    [
      'a folder that is not there',
      ['--out', join(folder, 'no/x')],
      2,
      /--out .*: can't be written: ENOENT/,
    ],
    [
      'a full disk',
      ['--out', '/dev/full'],
      1,
      /--out \/dev\/full: the recording ends here, because it can't be written any more: ENOSPC/,
    ],
  ])('%s', async (_, args, code, said) => {
    const answer = await slotkeeper(['record', '--url', url, ...args])
    expect(answer).toMatchObject({ code, out: '' })
    expect(answer.err).toMatch(said)
  })

  test('a file that exists is left as it is', async () => {
    writeFileSync(out, 'mine\n')
    const answer = await slotkeeper(['record', '--url', url, '--out', out])
    expect(answer).toMatchObject({ code: 2, out: '' })
    expect(answer.err).toContain(`--out ${out}: the file exists, and is left as it is;`)
    expect(readFileSync(out, 'utf8')).toBe('mine\n')
  })

  test.each<[string, string, number, string]>([
    ['a role that may not log in', url.replace('secret', 'wrong'), 3, '28P01'],
    ['a role that sees nothing', '', 1, 'GRANT pg_monitor'],
  ])('%s fails at once, and leaves no file behind', async (_, server, code, said) => {
    const blind = server || db.server.url(await db.role('blind'))
    const answer = await slotkeeper(['record', '--url', blind, '--out', out])
    expect(answer).toMatchObject({ code, out: '' })
    expect(answer.err).toContain(said)
    expect(answer.err).not.toContain('secret of')
    expect(existsSync(out)).toBe(false)
  })

  test('a reader that is gone ends it', async () => {
    const { child, said, exited } = record('--url', url, '--every', '1s', '--out', '-')
    await until(() => said.out.includes('\n'))
    child.stdout?.destroy()
    expect(await exited).toEqual([1, null])
    expect(said.err).toContain('slotkeeper: the output could not be written: write EPIPE')
    expect(said.err).toContain('slotkeeper: recorded ')
    expect(read(said.out).length).toBeGreaterThan(0)
  })

  test('a file that fills up ends with a whole line', async () => {
    const { pid, client } = await db.open(app, 'web')
    // The shell counts in blocks of 1,024 bytes. A snapshot of this server has about 900.
    const { said, exited } = start([
      'bash',
      '-c',
      `trap '' XFSZ; ulimit -f 2; exec ${process.execPath} dist/cli.mjs record --url '${url}' --every 1s --out ${out}`,
    ])
    expect(await exited).toEqual([1, null])
    expect(said.err).toMatch(
      /the recording ends here, because .*EFBIG.* Its \d+ bytes before that are whole\./,
    )
    const frames = read(readFileSync(out, 'utf8'))
    expect(frames.length).toBeGreaterThan(0)
    expect(frames[0]?.snapshot.sessions.map((session) => session.pid)).toContain(pid)
    await client.end()
  })
})

test('on a terminal, one line tells the progress', async () => {
  const command = `${process.execPath} dist/cli.mjs record --url '${url}' --for 1s --every 1s --out ${out}`
  const { said, exited } = start(['script', '-qec', command, '/dev/null'])
  expect(await exited).toEqual([0, null])
  const lines = said.out.replaceAll('\r\u001b[K', '<clear>').replaceAll(/\d+(\.\d+)?/g, 'N')
  expect(lines).toMatch(
    /^.*\r\nNs of Ns: N snapshot, N k?B<clear>Ns of Ns: N snapshots, N k?B<clear>slotkeeper: recorded N snapshots .*\r\n$/,
  )
  expect(read(readFileSync(out, 'utf8'))).toHaveLength(2)
})
