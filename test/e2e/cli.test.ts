import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { EXAMPLE_KEYS, startAws } from '../../cli/rehearse/aws.ts'
import type { Report } from '../../lambda/core/report.ts'
import { REAPER_ROLES, testServer, until } from '../support/server.ts'

const db = await testServer({ max_connections: '60' })
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const atOnce = file(
  'policy.json',
  JSON.stringify({
    scope: { users: ['shop_*'] },
    rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
  }),
)

/** Runs the built command as a person would; its output and exit code. */
function slotkeeper(args: string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      ['dist/cli.mjs', ...args],
      { env: { PATH: process.env.PATH, ...env } },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    )
  })
}

const url = db.server.url(reaper)

test('observe prints the report as one line of JSON and touches nobody; then a sweep reaps them', async () => {
  const victims = await Promise.all(Array.from({ length: 20 }, () => db.open(app, 'php')))
  const busy = await db.open(app, 'busy')
  const query = busy.client.query('select pg_sleep(3600)')
  const canceled = expect(query).rejects.toMatchObject({ code: '57014' })
  await until(async () => (await db.stateOf(busy.pid)) === 'active')

  const looked = await slotkeeper(['sweep', '--observe', '--json', '--url', url])
  expect(looked).toMatchObject({ code: 0, err: '' })
  const report = JSON.parse(looked.out) as Report
  expect(Object.keys(report)).toEqual(
    'target mode at durationMs entry server slots sessions reaped spared refused'.split(' '),
  )
  expect(report).toMatchObject({ mode: 'observe', sessions: { idle: 21 } })
  // The default policy: all idle sessions, once they are more than five.
  expect(report.reaped).toHaveLength(20)
  expect(victims.every((victim) => victim.isAlive())).toBe(true)

  const swept = await slotkeeper(['sweep', '--url', url])
  expect(swept).toMatchObject({ code: 0, err: '' })
  expect(swept.out).toContain('Reaped 20')
  expect(swept.out).toContain('crowd')
  await Promise.all(victims.map(({ ended }) => ended))
  await db.admin.query('select pg_cancel_backend($1)', [busy.pid])
  await canceled
  expect(busy.isAlive()).toBe(true)
})

test('takes DATABASE_URL, the PG* variables, or a secret', async () => {
  const { host, port } = db.server
  const sweep = ['sweep', '--observe', '--json']
  expect(await slotkeeper(sweep, { DATABASE_URL: url })).toMatchObject({ code: 0 })
  const pg = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: reaper.user,
    PGPASSWORD: reaper.password,
    PGDATABASE: 'postgres',
  }
  expect(await slotkeeper(sweep, pg)).toMatchObject({ code: 0 })

  const aws = await startAws({
    reaper: JSON.stringify({ host, port, username: reaper.user, password: reaper.password }),
  })
  const answer = await slotkeeper([...sweep, '--secret-arn', 'reaper'], {
    ...EXAMPLE_KEYS,
    AWS_ENDPOINT_URL: aws.url,
  })
  // A secret's host is held to full TLS, which this server does not offer.
  expect(answer).toMatchObject({ code: 3, err: expect.stringContaining('does not support SSL') })
  // The SDK has warnings of its own for older releases of Node.js.
  expect(answer.err).toMatch(/^slotkeeper: .*\n$/)
  expect(aws.secretReads).toEqual(['reaper'])
  await aws.close()
})

test('no warning but the one of the SDK is hidden', async () => {
  const NODE_OPTIONS = "--import=data:text/javascript,process.emitWarning('planted')"
  expect(await slotkeeper(['--help'], { NODE_OPTIONS })).toMatchObject({
    code: 0,
    err: expect.stringContaining('Warning: planted'),
  })
})

test('names that look like SQL or like terminal escapes are harmless when printed', async () => {
  const evil = "shop_\u001b[31m'); drop table t; --\u202e"
  const role = await db.role(evil)
  const victim = await db.open(role, '\u001b]0;title\u0007; drop table t')
  const shown = await slotkeeper(['sweep', '--url', url, '--policy', atOnce, '--observe'])
  expect(shown.out).toContain("shop_\\u001b[31m'); drop table t; --\\u202e")
  for (const raw of ['\u0007', '\u001b', '\u202e']) expect(shown.out).not.toContain(raw)
  const json = await slotkeeper(['sweep', '--url', url, '--policy', atOnce, '--json'])
  expect(json.out).not.toContain('\u202e')
  expect((JSON.parse(json.out) as Report).reaped[0]?.user).toBe(evil)
  await victim.ended
})

test('exit 1 where a reap is refused, with the grant that mends it', async () => {
  const powerless = await db.role('powerless', ['pg_monitor'])
  const victim = await db.open(app, 'php')
  const answer = await slotkeeper(['sweep', '--url', db.server.url(powerless), '--policy', atOnce])
  expect(answer.code).toBe(1)
  expect(answer.out).toMatch(/shop_app +php +42501/)
  expect(answer.out).toContain('GRANT pg_signal_backend')
  expect(victim.isAlive()).toBe(true)
  await victim.client.end()
})

test('exit 1 for a role that sees nothing', async () => {
  const blind = await db.role('blind')
  const answer = await slotkeeper(['sweep', '--url', db.server.url(blind)])
  expect(answer).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringContaining('GRANT pg_monitor'),
  })
})

test.each([
  ['no server', ['sweep'], 'no server given'],
  ['two servers', ['sweep', '--url', url, '--secret-arn', 'x'], 'exclude each other'],
  ['an unreadable URL', ['sweep', '--url', 'mysql://x'], 'postgres://'],
  ['an unknown verb', ['swep'], "unknown command 'swep'"],
  ['an unknown option', ['sweep', '--dry-run'], "unknown option '--dry-run'"],
  [
    'a policy that is not there',
    ['sweep', '--url', url, '--policy', join(folder, 'none.json')],
    'none.json',
  ],
  [
    'a policy that is no JSON',
    ['sweep', '--url', url, '--policy', file('a.json', '{')],
    'expected JSON',
  ],
  [
    'a policy with a typo',
    ['sweep', '--url', url, '--policy', file('b.json', '{"rulez": []}')],
    'did you mean "rules"',
  ],
])('exit 2 for %s', async (_, args, named) => {
  const answer = await slotkeeper(args)
  expect(answer).toMatchObject({ code: 2, out: '', err: expect.stringContaining(named) })
  expect(answer.err).not.toContain('    at ')
})

test('exit 3 where no connection comes about', async () => {
  const wrong = await slotkeeper([
    'sweep',
    '--url',
    db.server.url({ ...reaper, password: 'hush-hush' }),
  ])
  expect(wrong).toMatchObject({
    code: 3,
    err: expect.stringContaining('refused to let role reaper'),
  })
  expect(wrong.err).not.toContain('hush-hush')
  const elsewhere = db.server.url(reaper).replace(/[^/]*$/, 'none')
  expect(await slotkeeper(['sweep', '--url', elsewhere])).toMatchObject({
    code: 3,
    err: expect.stringContaining('has no database none'),
  })
  const nobody = await slotkeeper([
    'sweep',
    '--url',
    'postgres://x:y@127.0.0.1:1/postgres',
    '--verbose',
  ])
  expect(nobody).toMatchObject({ code: 3, err: expect.stringContaining('    at ') })
})

test('exit 3 where a server accepts and says nothing', async () => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as { port: number }
  const answer = await slotkeeper(['sweep', '--url', `postgres://x:y@127.0.0.1:${port}/postgres`])
  expect(answer).toMatchObject({ code: 3, err: expect.stringContaining('no answer within 5 s') })
  silent.close()
})

test('help is no error', async () => {
  const help = await slotkeeper(['--help'])
  expect(help).toMatchObject({ code: 0, out: expect.stringContaining('rehearse'), err: '' })
})
