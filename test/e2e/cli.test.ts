import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Report } from '../../lambda/core/report.ts'
import { EXAMPLE_KEYS, startAws } from '../../stand-ins/aws.ts'
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

test('a sweep looks and touches nobody; with --reap and a policy it reaps them', async () => {
  const victims = await Promise.all(Array.from({ length: 20 }, () => db.open(app, 'php')))
  const busy = await db.open(app, 'busy')
  const query = busy.client.query('select pg_sleep(3600)')
  const canceled = expect(query).rejects.toMatchObject({ code: '57014' })
  await until(async () => (await db.stateOf(busy.pid)) === 'active')

  const looked = await slotkeeper(['sweep', '--json', '--url', url])
  expect(looked).toMatchObject({ code: 0, err: '' })
  const report = JSON.parse(looked.out) as Report
  expect(Object.keys(report)).toEqual(
    'target mode at durationMs entry server slots sessions inScope rules unmatched cannotSignal reaped wouldReap spared refused'.split(
      ' ',
    ),
  )
  expect(report).toMatchObject({ mode: 'observe', sessions: { idle: 21 } })
  // The policy of the incident: all idle sessions, once they are more than five.
  expect(report).toMatchObject({ reaped: [], cannotSignal: false, unmatched: [] })
  expect(report.wouldReap).toHaveLength(20)
  expect(report.rules).toContainEqual({ name: 'crowd', matched: 21, due: true, reaped: 0 })

  for (const asked of [['--observe'], ['--policy', 'incident'], []]) {
    const shown = await slotkeeper(['sweep', ...asked, '--url', url])
    expect(shown).toMatchObject({ code: 0, err: '' })
    const [headline, hasty] = shown.out.split('\n')
    const given = asked.includes('incident') ? '' : ', as no policy was given'
    expect(headline).toBe(`observe, policy "incident"${given}: would reap 20 of 23 sessions`)
    expect(hasty).toBe('Rule "crowd" (0s) also ends sessions that have just been used.')
    expect(shown.out).toContain('No session was ended.')
  }
  expect(victims.every((victim) => victim.isAlive())).toBe(true)

  const swept = await slotkeeper(['sweep', '--reap', '--policy', 'incident', '--url', url])
  expect(swept).toMatchObject({ code: 0, err: '' })
  expect(swept.out).toContain('reap, policy "incident": reaped 20 of 23 sessions')
  expect(swept.out).toMatch(/^ +20 {2}crowd .* shop_app@postgres {2}php /m)
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

test("a secret's ARN tells the region, wherever this machine is", async () => {
  const { port } = db.server
  const arn = 'arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:reaper-AbCdEf'
  const scopes: string[] = []
  const aws = createHttpServer((request, response) => {
    scopes.push(
      /Credential=[^/]*\/\d+\/([^,]*)/.exec(request.headers.authorization ?? '')?.[1] ?? '',
    )
    const SecretString = JSON.stringify({
      username: 'u',
      password: 'hush',
      host: '127.0.0.1',
      port,
    })
    response.setHeader('content-type', 'application/x-amz-json-1.1')
    response.end(JSON.stringify({ SecretString }))
  }).listen(0, '127.0.0.1')
  await once(aws, 'listening')
  const { AWS_REGION: elsewhere, ...keys } = EXAMPLE_KEYS
  for (const region of [undefined, elsewhere]) {
    const answer = await slotkeeper(['sweep', '--secret-arn', arn], {
      ...keys,
      ...(region !== undefined && { AWS_REGION: region }),
      AWS_ENDPOINT_URL: `http://127.0.0.1:${(aws.address() as { port: number }).port}`,
    })
    expect(answer.err).toContain('does not support SSL')
  }
  expect(scopes).toEqual(Array(2).fill('cn-north-1/secretsmanager/aws4_request'))
  aws.close()
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
  const json = await slotkeeper(['sweep', '--url', url, '--policy', atOnce, '--reap', '--json'])
  expect(json.out).not.toContain('\u202e')
  expect((JSON.parse(json.out) as Report).reaped[0]?.user).toBe(evil)
  await victim.ended
})

test('exit 1 where a reap is refused, with the grant that mends it', async () => {
  const powerless = await db.role('powerless', ['pg_monitor'])
  const victim = await db.open(app, 'php')
  const sweep = ['sweep', '--url', db.server.url(powerless), '--policy', atOnce]
  const answer = await slotkeeper([...sweep, '--reap'])
  expect(answer.code).toBe(1)
  expect(answer.out).toMatch(/^ +1 {2}42501 +shop_app@postgres +php /m)
  const grant = 'GRANT pg_signal_backend TO "powerless";'
  expect(answer.out).toContain(grant)
  // And a look says so before anybody is to be ended.
  const looked = await slotkeeper(sweep)
  expect(looked.code).toBe(0)
  expect(looked.out).toContain('would try to reap 1 of')
  expect(looked.out).toContain(grant)
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

test('the cause stands first: who holds the slots, what idles in a transaction, and whom it blocks', async () => {
  await db.admin.query('create table orders (n int)')
  await db.admin.query('insert into orders values (1)')
  await db.admin.query('grant all on orders to shop_app')
  const web = await Promise.all(Array.from({ length: 12 }, () => db.open(app, 'web')))
  const cart = await db.open(app, 'cart', 'begin', 'update orders set n = 2')
  const blocked = await Promise.all([1, 2].map(() => db.open(app, 'checkout')))
  const updates = blocked.map(({ client }) => client.query('update orders set n = 3'))
  await until(async () => {
    const { rows } = await db.admin.query('select 1 from pg_locks where not granted')
    return rows.length >= 2
  })

  const sweep = ['sweep', '--url', url, '--policy', atOnce]
  const { out } = await slotkeeper(sweep)
  expect(out).toMatch(/^ +12 +12 .* shop_app@postgres +web +127/m)
  expect(out).toMatch(new RegExp(`^ *${cart.pid} .* 2  shop_app@postgres  cart`, 'm'))
  expect(out).toContain(`${cart.pid} blocks 2 of shop_app@postgres checkout 127.0.0.1`)
  for (const { pid } of blocked) expect(out).toMatch(new RegExp(`blocks 2 .*\\b${pid}\\b`))
  expect(out).toContain('This policy has no rule for sessions that are idle in a transaction.')
  const order = ['observe, policy', 'What holds', 'Idle in a transaction', 'Rules', 'Would reap 12']
  const places = order.map((words) => out.indexOf(words))
  expect(places).toEqual([...places].sort((a, b) => a - b))
  expect(places).not.toContain(-1)
  expect(out).not.toContain(String(web[0]?.pid))
  expect(out).not.toContain('update orders')

  await db.admin.query('revoke execute on function pg_blocking_pids(int) from public')
  const less = await slotkeeper(sweep)
  expect(less).toMatchObject({ code: 0, err: '' })
  expect(less.out).toMatch(new RegExp(`^ *${cart.pid} .* \\?  shop_app@postgres  cart`, 'm'))
  expect(less.out).toMatch(/^Could not read which sessions they block: .*pg_blocking_pids/m)
  await db.admin.query('grant execute on function pg_blocking_pids(int) to public')

  const all = (await slotkeeper([...sweep, '--all'])).out
  for (const { pid } of web) expect(all).toMatch(new RegExp(`^ *${pid} .*now`, 'm'))
  await cart.client.query('rollback')
  await Promise.all(updates)
  await Promise.all([...web, cart, ...blocked].map(({ client }) => client.end()))
})

test('a scope that meets nobody is a warning, and each entry in vain is named', async () => {
  const nobody = file(
    'nobody.json',
    JSON.stringify({
      scope: { users: ['shopp_*'] },
      protect: [{ applications: ['pg_dump'] }],
      rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
    }),
  )
  const { code, out } = await slotkeeper(['sweep', '--url', url, '--policy', nobody])
  expect(code).toBe(0)
  expect(out).toMatch(
    /^WARNING: none of the \d+ sessions is in the scope .*scope\.users\[0\] \("shopp_\*"\)$/m,
  )
  expect(out).toContain('No session matches protect[0] ({"applications":["pg_dump"]}).')
  expect(out).toContain('Would reap no session.')
})

test('the version is that of the package', async () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  expect(await slotkeeper(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' })
})

test.each<[string, string[], number, string, string]>([
  ['usage', ['sweep', '--reap'], 2, 'settings', '--reap needs a policy'],
  ['an unknown option', ['sweep', '--dry-run'], 2, 'settings', "unknown option '--dry-run'"],
  ['an unknown verb', ['swep'], 2, 'settings', "unknown command 'swep'"],
  ['an option without its value', ['sweep', '--policy'], 2, 'settings', '--policy'],
  [
    'a bad policy',
    ['sweep', '--url', url, '--policy', file('c.json', '{}')],
    2,
    'settings',
    'policy.rules: missing',
  ],
  [
    'no connection',
    ['sweep', '--url', 'postgres://x:y@127.0.0.1:1/z'],
    3,
    'unreachable',
    '127.0.0.1:1',
  ],
])('under --json a failure is JSON as well: %s', async (_, args, code, kind, named) => {
  const [verb = '', ...rest] = args
  const answer = await slotkeeper([verb, '--json', ...rest])
  const { error } = JSON.parse(answer.out)
  expect(answer).toMatchObject({ code, err: expect.stringContaining(named) })
  expect(Object.keys(error)).toEqual(['kind', 'message'])
  expect(error).toMatchObject({ kind, message: expect.stringContaining(named) })
})

test.each([
  [
    'reaping without a policy',
    ['sweep', '--reap', '--url', url],
    'expected --policy FILE, or --policy incident',
  ],
  [
    'both modes',
    ['sweep', '--reap', '--observe', '--policy', atOnce, '--url', url],
    'exclude each other',
  ],
  ['a typo in a name', ['sweep', '--url', url, '--policy', 'incidnt'], 'did you mean "incident"'],
  [
    'no rules',
    ['sweep', '--url', url, '--policy', file('d.json', '{"keep": 2}')],
    'policy.rules: missing',
  ],
  [
    'a key that stands twice',
    ['sweep', '--url', url, '--policy', file('e.json', '{"keep": 1, "keep": 2}')],
    'policy.keep: the key occurs twice',
  ],
  [
    'a pattern of SQL',
    [
      'sweep',
      '--url',
      url,
      '--policy',
      file('f.json', '{"protect": [{"users": ["report_%"]}], "rules": []}'),
    ],
    'policy.protect[0].users[0]: expected a name or a glob, but this looks like LIKE: write "report_*"',
  ],
  ['no server', ['sweep'], 'no server given'],
  ['two servers', ['sweep', '--url', url, '--secret-arn', 'x'], 'exclude each other'],
  ['an unreadable URL', ['sweep', '--url', 'mysql://x'], 'postgres://'],
  ['a raw / in a password', ['sweep', '--url', 'postgres://u:hush/x@h/d'], 'the URL could not be'],
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
  ['grants for no role', ['grants', '--url', url, '--role', ''], '--role: found a name of 0 bytes'],
  [
    'grants for a role of a name that is cut off',
    ['grants', '--url', url, '--role', 'é'.repeat(32)],
    '--role: found a name of 64 bytes',
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

describe('output that can not be written', () => {
  const args = ['--no-warnings', 'dist/cli.mjs', 'sweep', '--observe', '--json', '--url', url]

  /** What the command says on stderr, and its exit code. */
  async function told(child: ChildProcess) {
    let err = ''
    child.stderr?.on('data', (chunk) => {
      err += chunk
    })
    const [code] = await once(child, 'close')
    return { code, err }
  }

  test('because its reader has gone', async () => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.destroy()
    expect(await told(child)).toEqual({
      code: 1,
      err: expect.stringMatching(/^slotkeeper: the output could not be written: .*EPIPE.*\n$/),
    })
  })

  test.skipIf(!existsSync('/dev/full'))('because the disk is full', async () => {
    const full = openSync('/dev/full', 'w')
    const child = spawn(process.execPath, args, { stdio: ['ignore', full, 'pipe'] })
    const answer = await told(child)
    closeSync(full)
    expect(answer).toEqual({
      code: 1,
      err: expect.stringMatching(/^slotkeeper: the output could not be written: ENOSPC.*\n$/),
    })
  })
})

test('help is no error', async () => {
  const help = await slotkeeper(['--help'])
  expect(help).toMatchObject({ code: 0, out: expect.stringContaining('rehearse'), err: '' })
})
