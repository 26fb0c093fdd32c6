import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { EXAMPLE_KEYS, startAws } from '../../stand-ins/aws.ts'
import { atOnce, db, file, folder, reaper, slotkeeper, url } from '../support/cli.ts'

test('connects by DATABASE_URL, the PG* variables or a secret', async () => {
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

test('the region comes from the ARN of the secret, not from the environment', async () => {
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

test('hides the warning of the SDK and no other', async () => {
  const NODE_OPTIONS = "--import=data:text/javascript,process.emitWarning('planted')"
  expect(await slotkeeper(['--help'], { NODE_OPTIONS })).toMatchObject({
    code: 0,
    err: expect.stringContaining('Warning: planted'),
  })
})

test('--version prints the version of the package', async () => {
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
])('with --json, a failure is printed as JSON: %s', async (_, args, code, kind, named) => {
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
])('exits 2 for %s', async (_, args, named) => {
  const answer = await slotkeeper(args)
  expect(answer).toMatchObject({ code: 2, out: '', err: expect.stringContaining(named) })
  expect(answer.err).not.toContain('    at ')
})

test('exits 3 when it cannot connect', async () => {
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

test('exits 3 when the server accepts the connection and stays silent', async () => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as { port: number }
  const answer = await slotkeeper(['sweep', '--url', `postgres://x:y@127.0.0.1:${port}/postgres`])
  expect(answer).toMatchObject({ code: 3, err: expect.stringContaining('no answer within 5 s') })
  silent.close()
})

describe('fails when the output cannot be written', () => {
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

  test('because the reader closed the pipe', async () => {
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

test('--help exits 0', async () => {
  const help = await slotkeeper(['--help'])
  expect(help).toMatchObject({ code: 0, out: expect.stringContaining('rehearse'), err: '' })
})
