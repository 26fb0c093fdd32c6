import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import type { Diagnosis } from '../../cli/doctor/diagnosis.ts'
import { FINDING_IDS, OPTIONS } from '../../cli/doctor/diagnosis.ts'
import { app, db, slotkeeper, url } from '../support/cli.ts'
import { until } from '../support/until.ts'

test('doctor prints a diagnosis of the promised form, and ends no session', async () => {
  const sessions = await Promise.all(Array.from({ length: 50 }, () => db.open(app, 'php')))
  const { code, out, err } = await slotkeeper(['doctor', '--json', '--for', '1s', '--url', url])
  expect({ code, err }).toEqual({ code: 1, err: '' })
  const diagnosis = JSON.parse(out) as Diagnosis
  expect(Object.keys(diagnosis)).toEqual(
    'target at watchedSeconds server slots pools findings plan'.split(' '),
  )
  expect(diagnosis.server).toMatchObject({ kind: 'community' })
  expect(Object.keys(diagnosis.slots)).toEqual('max reserved used available usedPercent'.split(' '))
  expect(Object.keys(diagnosis.pools[0] ?? {})).toEqual(
    'user database application client sessions busy peakBusy idleInTransaction oldestIdleSeconds neverUsed openedPerMinute'.split(
      ' ',
    ),
  )
  for (const { id, severity, title, remedies } of diagnosis.findings) {
    expect(FINDING_IDS).toContain(id)
    expect(['critical', 'warning', 'info']).toContain(severity)
    expect(title).not.toBe('')
    for (const remedy of remedies) expect(Object.keys(remedy)).toEqual(['kind', 'text', 'why'])
  }
  expect(diagnosis.findings.map(({ id }) => id)).toContain('nearly-full')
  expect(diagnosis.plan.map(({ option }) => option)).toEqual([...OPTIONS])
  expect(diagnosis.watchedSeconds).toBeGreaterThan(0)
  expect(sessions.every((session) => session.isAlive())).toBe(true)
  await db.endAll()
})

test('doctor is quiet about a server with nothing wrong', async () => {
  const { code, out } = await slotkeeper(['doctor', '--for', '10ms', '--url', url])
  expect(code).toBe(0)
  expect(out).toContain('The four options')
})

test('the first screen of a full server has the finding, what to do and the plan', async () => {
  await db.fill(app)
  const admin = db.server.url()
  const { code, out } = await slotkeeper(['doctor', '--for', '10ms', '--url', admin])
  expect(code).toBe(1)
  const [above = ''] = out.split('\nWho holds the slots')
  const screen = above.split('\n')
  expect(screen.length).toBeLessThanOrEqual(24)
  for (const line of screen) expect(line.length).toBeLessThanOrEqual(80)
  expect(screen.join('\n')).toMatch(/CRITICAL {2}No slot is free/)
  for (const words of ['smaller pools', 'a pooler', 'stricter policy', 'more slots']) {
    expect(screen.join('\n')).toMatch(new RegExp(`^(yes|no ) +${words}`, 'm'))
  }
  await db.endAll()
})

test('without a way in, doctor says what to do', async () => {
  await db.fill(app)
  const { code, out, err } = await slotkeeper(['doctor', '--json', '--for', '10ms', '--url', url])
  expect(code).toBe(3)
  expect(JSON.parse(out)).toMatchObject({
    error: { kind: 'exhausted', message: expect.stringContaining('pg_terminate_backend') },
  })
  expect(err).toMatch(/REPLICATION/)
  const shown = await slotkeeper(['doctor', '--for', '10ms', '--url', url])
  expect(shown).toMatchObject({ code: 3, err: expect.stringMatching(/REPLICATION/) })
  expect(shown.out).toMatch(/^ {2}SELECT count\(pg_terminate_backend\(pid\)\)/m)
  for (const line of shown.out.split('\n')) expect(line.length).toBeLessThanOrEqual(81)
  await db.endAll()
})

test('without a server it is an error of the connection, and bad usage is named', async () => {
  const dead = await slotkeeper(['doctor', '--url', 'postgres://u@127.0.0.1:1/postgres'])
  expect(dead).toMatchObject({ code: 3, out: '' })
  const bad = await slotkeeper(['doctor', '--for', 'soon', '--url', url])
  expect(bad.code).toBe(2)
  expect(bad.err).toContain('--for: found "soon"; expected a duration such as "10s"')
})

test('Ctrl-C ends the watch, prints what was seen, and leaves no session behind', async () => {
  const child = spawn(process.execPath, ['dist/cli.mjs', 'doctor', '--for', '1h', '--url', url], {
    env: { PATH: process.env.PATH },
  })
  let out = ''
  child.stdout.on('data', (text) => {
    out += text
  })
  const exited = once(child, 'exit')
  const own = async () => {
    const { rows } = await db.admin.query(
      "select count(*)::int as n from pg_stat_activity where application_name = 'slotkeeper' and state = 'idle'",
    )
    return rows[0]?.n as number
  }
  await until(async () => (await own()) === 1)
  child.kill('SIGINT')
  expect(await exited).toEqual([0, null])
  expect(out).toContain('The four options')
  await until(async () => (await own()) === 0)
})
