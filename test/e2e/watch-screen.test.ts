import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { app, db, file, folder, reaper, slotkeeper, url } from '../support/cli.ts'
import { isRunning } from '../support/process.ts'
import { restart, until } from '../support/server.ts'
import { openTerminal, type Terminal, tmux } from '../support/terminal.ts'

const patient = file(
  'patient.json',
  JSON.stringify({
    scope: { users: ['shop_*'] },
    rules: [
      { name: 'stale', state: 'idle', olderThan: '1h' },
      { name: 'crowd', state: 'idle', olderThan: '0s', when: { idleOver: 50 } },
    ],
  }),
)
const atOnce = file(
  'at-once.json',
  JSON.stringify({
    scope: { users: ['shop_*'] },
    rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
  }),
)

const pidFile = join(folder, 'pid')

const RESTORED = { isFullScreen: false, hasCursor: true, wraps: true }

/** The sessions of the watch on the server. */
async function ownSessions(): Promise<number> {
  const { rows } = await db.admin.query<{ count: number }>(
    'select count(*)::int from pg_stat_activity where usename = $1',
    [reaper.user],
  )
  return rows[0]?.count ?? Number.NaN
}

async function startWatch(terminal: Terminal, ...args: string[]): Promise<string> {
  const policy = args.includes('--policy') ? [] : ['--policy', patient]
  // The process of the watch is that of this shell.
  const named = `sh -c 'echo $$ >${pidFile}; exec "$0" "$@"'`
  const words = [
    named,
    process.execPath,
    'dist/cli.mjs',
    'watch',
    '--every',
    '500ms',
    ...policy,
    ...args,
  ]
  await terminal.type(`${words.join(' ')} --url '${url}'; echo "exit=$?"`)
  return terminal.shows(/^(observes|REAPS) .* UTC/m)
}

async function quit(terminal: Terminal, code = 0): Promise<string> {
  await terminal.press('q')
  const screen = await terminal.shows(new RegExp(`^exit=${code}$`, 'm'))
  expect(await terminal.state()).toEqual(RESTORED)
  await until(async () => (await ownSessions()) === 0)
  return screen
}

test('its options are checked as those of sweep are', async () => {
  const answer = await slotkeeper(['watch', '--url', url, '--every', '10ms'])
  expect(answer).toMatchObject({ code: 2, out: '' })
  expect(answer.err).toContain('--every: found "10ms"; expected a duration from 500ms to 24h')
})

describe.skipIf(tmux === undefined)('watch on a terminal', () => {
  test.each([
    [80, 24],
    [200, 60],
  ])('of %i x %i shows slots, pools and what is next, and restores the screen', async (...size) => {
    await Promise.all(Array.from({ length: 3 }, () => db.open(app, 'checkout-web')))
    const terminal = await openTerminal(...size)
    await terminal.type('echo before')
    await terminal.shows(/^before\n[#$]/m)
    const screen = await startWatch(terminal)
    expect(await terminal.state()).toEqual({ isFullScreen: true, hasCursor: false, wraps: false })
    expect(screen.trimEnd().split('\n')).toHaveLength(size[1])
    expect(screen).toMatch(/^#+\.+r+ [\d.]+ %: \d+ of 57 slots \(\+ 3 reserved\)$/m)
    expect(screen).toMatch(/^ +[▁▂▃▄▅▆▇█]+ 10 min {2}\d+ idle/m)
    expect(screen).toMatch(
      /^> +3 +0 +3 +\d+s +3 +checkout-web +shop_app@post\S+ +127\.0\.0\.1 +in (1h|59m \d+s)/m,
    )
    expect(screen).toMatch(/^ *in (1h|59m \d+s) +stale +\d+ +idle \d+s +checkout-web/m)
    expect(screen).toContain('rule crowd waits: 3 idle, acts above 50')
    expect(screen).toContain('Would have been reaped: 0')
    expect(screen).not.toContain('before')
    const after = await quit(terminal)
    expect(after).toMatch(/^before$/m)
    expect(after).toMatch(/^Watched .* looks, would have reaped 0 sessions\.$/m)
  })

  test('answers to its keys', async () => {
    await Promise.all(['web', 'web', 'cron'].map((name) => db.open(app, name)))
    const terminal = await openTerminal(100, 30)
    await startWatch(terminal)
    await terminal.shows(/^> +2 .* web /m)
    await terminal.press('End')
    await terminal.shows(/^> +1 .* cron /m)
    await terminal.press('Home', 'Enter')
    await terminal.shows(/^web {2}shop_app@postgres {2}127\.0\.0\.1: 2 sessions$/m)
    await terminal.press('Escape')
    await terminal.shows(/^Pools: \d, by sessions$/m)
    await terminal.press('s')
    await terminal.shows(/^Pools: \d, by idle$/m)
    await terminal.press('?')
    await terminal.shows(/"observes" ends none/)
    await terminal.press('h')
    await terminal.shows(/^Pools: \d/m)
    await terminal.press('p')
    await terminal.shows(/^PAUSED: /m)
    // Who pauses holds no slot, and sees no change.
    await until(async () => (await ownSessions()) === 0)
    await db.open(app, 'newcomer')
    await terminal.press('p')
    await terminal.shows(/ newcomer /)
    await quit(terminal)
  })

  test('follows the size of the terminal, however small it is', async () => {
    await db.open(app, 'checkout-web')
    const terminal = await openTerminal(80, 24)
    await startWatch(terminal)
    await terminal.resize(200, 60)
    await terminal.shows(/^q quit.*\n*$/m)
    await until(async () => (await terminal.screen()).trimEnd().split('\n').length === 60)
    for (const [columns, rows] of [
      [20, 5],
      [1, 1],
      [7, 2],
    ] as const) {
      await terminal.resize(columns, rows)
      const start = 'observes'.slice(0, columns - 1)
      await terminal.shows(new RegExp(`^${start}`))
    }
    await terminal.resize(80, 24)
    await terminal.shows(/checkout-web/)
    await quit(terminal)
  })

  test('ends with the reason and its exit code when it is left while looks fail', async () => {
    const terminal = await openTerminal(120, 30)
    await startWatch(terminal)
    await db.admin.query(`alter role ${reaper.user} nologin`)
    await db.admin.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where usename = $1',
      [reaper.user],
    )
    await terminal.shows(/LOOKS FAIL/)
    const screen = await quit(terminal, 3)
    await db.admin.query(`alter role ${reaper.user} login`)
    expect(screen).toMatch(/^slotkeeper: .*reaper/m)
  })

  test('reaps with --reap and a policy, and says what', async () => {
    const victims = await Promise.all([1, 2].map(() => db.open(app, 'checkout-web')))
    const terminal = await openTerminal(120, 30)
    await startWatch(terminal, '--reap', '--policy', atOnce)
    await Promise.all(victims.map(({ ended }) => ended))
    const screen = await terminal.shows(/^Reaped: 2/m)
    expect(screen).toMatch(/^REAPS /)
    expect(screen).toMatch(/2 sessions +by now .*checkout-web/)
    expect(await quit(terminal)).toContain('reaped 2 sessions.')
  })

  test('exits 1 when the server refused a reap', async () => {
    await db.admin.query(`revoke pg_signal_backend from ${reaper.user}`)
    const victim = await db.open(app, 'checkout-web')
    const terminal = await openTerminal(120, 30)
    const screen = await startWatch(terminal, '--reap', '--policy', atOnce)
    expect(screen).toMatch(/GRANT\s+pg_signal_backend TO "reaper";/)
    expect(screen).toMatch(/^Reaped: 0, \d+ refused \(42501: /m)
    expect(await quit(terminal, 1)).toMatch(/the server refused \d+/)
    await db.admin.query(`grant pg_signal_backend to ${reaper.user}`)
    expect(victim.isAlive()).toBe(true)
  })

  test('Ctrl-Z gives the terminal and the connection back, and fg goes on', async () => {
    const terminal = await openTerminal(80, 24)
    await startWatch(terminal)
    await terminal.press('C-z')
    await terminal.shows(/Stopped|Suspended/)
    expect(await terminal.state()).toEqual(RESTORED)
    expect(await ownSessions()).toBe(0)
    await terminal.type('echo still "here"')
    await terminal.shows(/^still here$/m)
    await terminal.type('fg')
    await terminal.shows(/^Pools: /m)
    expect((await terminal.state()).isFullScreen).toBe(true)
    await terminal.press('q')
    await until(async () => !(await terminal.state()).isFullScreen)
    expect(await terminal.state()).toEqual(RESTORED)
    await until(async () => (await ownSessions()) === 0)
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ])('%s restores the screen and gives the connection back at once', async (signal, code) => {
    const terminal = await openTerminal(80, 24)
    await startWatch(terminal, '--every', '1m')
    // Between two looks it holds one connection.
    expect(await ownSessions()).toBe(1)
    process.kill(Number(readFileSync(pidFile, 'utf8')), signal as NodeJS.Signals)
    await terminal.shows(new RegExp(`^exit=${code}$`, 'm'))
    expect(await terminal.state()).toEqual(RESTORED)
    await until(async () => (await ownSessions()) === 0)
  })

  test('a terminal that takes nothing any more holds up no signal', async () => {
    const terminal = await openTerminal(200, 60)
    await startWatch(terminal)
    const watch = Number(readFileSync(pidFile, 'utf8'))
    const goOn = await terminal.hang()
    let repaints = 0
    // Each one draws the whole screen, until the buffer of the terminal is full.
    await until(() => {
      process.kill(watch, 'SIGCONT')
      repaints += 1
      return repaints === 300
    })
    process.kill(watch, 'SIGTERM')
    await until(async () => (await ownSessions()) === 0)
    await until(() => !isRunning(watch))
    goOn()
    expect(await terminal.shows(/^exit=143$/m)).not.toContain('slotkeeper:')
  })

  test('a window that is closed gives the connection back', async () => {
    const terminal = await openTerminal(80, 24)
    await startWatch(terminal)
    expect(await ownSessions()).toBe(1)
    await terminal.close()
    await until(async () => (await ownSessions()) === 0)
  })

  test('without a UTF-8 terminal it draws in ASCII', async () => {
    await db.open(app, 'checkout-web')
    const terminal = await openTerminal(60, 24, { LC_ALL: 'C' })
    const screen = await startWatch(terminal)
    expect(screen).toMatch(/^[ -~\n]*$/)
    await quit(terminal)
  })

  test('names that drive a terminal or take two columns leave the table in order', async () => {
    const wide = await db.role('shop_日本語')
    await db.open(wide, '\u001b[2J\u001b[31m')
    const terminal = await openTerminal(120, 30)
    await startWatch(terminal)
    const screen = await terminal.shows(/shop_日本語@postgres/)
    expect(screen).toMatch(/u001b\[2J|x1b\[2J/)
    const table = screen.split('Next to meet')[0] ?? ''
    const places = [...table.matchAll(/^(.*)127\.0\.0\.1/gm)].map(([, before = '']) =>
      [...before].reduce((columns, one) => columns + ('日本語'.includes(one) ? 2 : 1), 0),
    )
    expect(places.length).toBeGreaterThan(2)
    expect(new Set(places.slice(1)).size).toBe(1)
    await quit(terminal)
  })

  test('a first look that fails is an ordinary error', async () => {
    const terminal = await openTerminal(80, 24)
    await terminal.type(
      `${process.execPath} dist/cli.mjs watch --url postgres://x:y@127.0.0.1:1/z; echo "exit=$?"`,
    )
    const screen = await terminal.shows(/^exit=3$/m)
    expect(screen).toMatch(/^slotkeeper: .*127\.0\.0\.1:1/m)
    expect(await terminal.state()).toEqual(RESTORED)
  })

  // The last one, because the server is gone after it.
  test('keeps the last picture while the server is away, and goes on when it is back', async () => {
    const terminal = await openTerminal(120, 30)
    await db.open(app, 'checkout-web')
    await startWatch(terminal)
    await terminal.shows(/checkout-web/)
    await restart(db.server, 'SIGINT', async () => {
      const screen = await terminal.shows(
        /^LOOKS FAIL since \d\d:\d\d:\d\d UTC \(\d+s\); tries again/m,
      )
      expect(screen).toMatch(/checkout-web/)
      expect(screen).toContain('This picture is old.')
    })
    await terminal.shows(/^Pools: [\s\S]*Next to meet/m)
    await until(async () => !(await terminal.screen()).includes('LOOKS FAIL'))
    await quit(terminal)
  })
})
