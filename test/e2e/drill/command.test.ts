import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { slotkeeper } from '../../support/cli.ts'
import { application } from '../../support/drill.ts'

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-drill-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

const drill = (options: string[], command: string[]) =>
  slotkeeper(['drill', '--idle', '200ms', '--patience', '30s', ...options, '--', ...command])

test('shows each cut as a table, and exits with 0 if the application survived', async () => {
  const { code, out, err } = await drill(['--times', '2', '--restart'], application('survives'))
  expect(code, out + err).toBe(0)
  const [title, policy, ...lines] = out.split('\n')
  expect(title).toMatch(/^drill of .*survives\.mjs$/)
  expect(policy).toMatch(/^policy "incident", on a disposable PostgreSQL \d+\.\d+$/)
  expect(lines.slice(0, 3)).toEqual([
    '- rule "idle" ends a session after 0.2 s instead of 30 s (--idle 30s waits as long)',
    '- the condition of rule "crowd" counts as met',
    '',
  ])
  expect(lines[3]).toMatch(/^cut +ended +left +came back +new sessions +process$/)
  expect(out).toMatch(/^1 +4 +0 +after \d/m)
  expect(out).toMatch(/^2 +4 +0 +after \d/m)
  expect(out).toMatch(/^restart +\d +0 +after \d/m)
  expect(out).toMatch(/^It survived: it came back 3 times, after [\d.]+ m?s at most\.$/m)
  expect(err).toContain('cut 1 of 2: ended 4 of 4 sessions')
})

test('shows what an application wrote when it died, and what would help', async () => {
  const { code, out } = await drill([], application('dies'))
  expect(code).toBe(1)
  expect(out).toContain('It did not survive: its process ended (exit code 1)')
  expect(out).toContain('  | error: terminating connection due to administrator command')
  expect(out).toContain("node-postgres: The process dies with an unhandled 'error' event.")
  expect(out).toContain("    pool.on('connect', (client) => client.on('error', log))")
})

test('--json prints the result, and nothing else on stdout', async () => {
  const { code, out } = await drill(['--times', '1', '--json', '--verbose'], application('dies'))
  expect(code).toBe(1)
  const result = JSON.parse(out)
  expect(result).toMatchObject({
    policy: 'incident',
    survived: false,
    cuts: [{ by: 'policy', cameBackMs: null, process: { code: 1, signal: null } }],
    library: { id: 'node-postgres', name: 'node-postgres' },
  })
})

test('--verbose prints what the application writes, and no option of the application is ours', async () => {
  const hostile = `console.log('--json', process.argv.slice(1).join(' '), '\\u001b[2J'); process.exit(3)`
  const command = [process.execPath, '-e', hostile, '--', '--json', '--times']
  const quiet = await drill([], command)
  expect(quiet).toMatchObject({ code: 1, out: expect.stringContaining('COMMAND ended by itself') })
  expect(quiet.out).toContain(String.raw`  | --json --json --times \u001b[2J`)
  expect(quiet.err).not.toContain('--json --json')
  const verbose = await drill(['--verbose'], command)
  expect(verbose.err).toContain(String.raw`| --json --json --times \u001b[2J`)
})

test.each([
  ['no COMMAND', [], [], "missing required argument 'command'"],
  [
    'a number',
    ['--times', '0'],
    ['true'],
    '--times: found "0"; expected a whole number from 1 to 999',
  ],
  ['a duration', ['--patience', 'soon'], ['true'], '--patience: found "soon"; expected a duration'],
  ['a file', ['--setup', './no-such.sql'], ['true'], '--setup: ENOENT'],
  ['a policy', ['--policy', './no-such.json'], ['true'], '--policy ./no-such.json'],
  ['a program', [], ['./no-such-program'], 'COMMAND could not be started'],
  [
    '--restart with --url',
    ['--restart', '--url', 'postgres://a:b@127.0.0.1:1/c'],
    ['true'],
    'exclude each other',
  ],
])('refuses %s with exit code 2', async (_, options, command, words) => {
  const { code, out, err } = await drill(options, command)
  expect(code).toBe(2)
  expect(err).toContain(words)
  expect(out).toBe('')
})

test('a failure is printed as JSON if --json is an option of the drill, not of COMMAND', async () => {
  expect((await drill([], ['./no-such-program', '--json'])).out).toBe('')
  const { code, out } = await drill(['--json'], ['./no-such-program'])
  expect(code).toBe(2)
  expect(JSON.parse(out).error).toMatchObject({ kind: 'settings' })
})

test('an unreachable server of one\u2019s own is exit code 3, and COMMAND ends with the drill', async () => {
  const file = join(folder, 'setup.sql')
  writeFileSync(file, 'select 1')
  const url = 'postgres://a:secret-word@127.0.0.1:1/c'
  const answer = await drill(['--url', url], application('survives'))
  expect(answer).toMatchObject({ code: 3, err: expect.stringContaining('127.0.0.1:1') })
  expect(answer.err).not.toContain('secret-word')
  const withSetup = await drill(['--url', url, '--setup', file], application('survives'))
  expect(withSetup).toMatchObject({ code: 3, err: expect.stringContaining('127.0.0.1:1') })
})
