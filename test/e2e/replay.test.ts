import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import type { ReplayReport } from '../../cli/replay/result.ts'
import { parsePolicyText } from '../../lambda/core/policy.ts'
import { writeFrame } from '../../lambda/core/recording.ts'
import { EXAMPLE_KEYS, startAws } from '../../stand-ins/aws.ts'
import { startFaultyAws } from '../support/aws-faults.ts'
import { runBuilt } from '../support/built.ts'
import { at, frames, type Script, START_MS } from '../support/frames.ts'

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-replay-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const evil = '\u001b[2Jevil'
const scripts: Script[] = [
  { pid: 2, opens: 0, uses: [700] },
  { pid: 3, opens: 0, closes: 3_000, is: { application: evil } },
  { pid: 4, opens: 0, closes: 2_000, is: { user: 'etl', application: '' } },
  { pid: 5, opens: 0, closes: 300, is: { application: 'report_%' } },
]
const lines = frames(60, 3_600, scripts).flatMap(writeFrame)
const recording = file('hour.jsonl', `${lines.join('\n')}\n`)
const policyOf = (name: string, olderThan: string) =>
  file(name, JSON.stringify({ rules: [{ name: 'stale', state: 'idle', olderThan }] }))
const hasty = policyOf('hasty.json', '10m')
const patient = policyOf('patient.json', '15m')

const report = (out: string) => JSON.parse(out) as ReplayReport

describe('a recording', () => {
  const expected = {
    target: 'shop',
    from: at(0),
    to: at(3_600),
    snapshots: 61,
    gaps: 4,
    policies: [{ name: hasty, wouldReap: 4, regretted: 1, undecided: 1 }],
  }

  test('from a file', async () => {
    const { code, out, err } = await runBuilt(['replay', recording, '--policy', hasty, '--json'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(report(out)).toMatchObject(expected)
    expect(report(out).policies[0]?.regrets).toMatchObject([
      { pid: 2, rule: 'stale', at: at(600), idleSeconds: [660, 720] },
    ])
  })

  test('from a file that is compressed, or has the line ends and the mark of Windows', async () => {
    const packed = file('hour.jsonl.gz', gzipSync(lines.join('\n')))
    const renamed = file('packed', gzipSync(lines.join('\n')))
    const misnamed = file('plain.jsonl.gz', lines.join('\n'))
    const windows = file('windows.jsonl', `\ufeff${lines.join('\r\n')}\r\n`)
    for (const name of [packed, renamed, misnamed, windows]) {
      const { code, out } = await runBuilt(['replay', name, '--policy', hasty, '--json'])
      expect(code).toBe(0)
      expect(report(out)).toMatchObject(expected)
    }
  })

  test('from several files in any order, and from standard input', async () => {
    const [early, late] = [lines.slice(0, 30), lines.slice(30)].map((part, index) =>
      file(`part-${index}.jsonl`, part.join('\n')),
    ) as [string, string]
    const whole = await runBuilt(['replay', recording, '--policy', hasty, '--json'])
    const divided = await runBuilt(['replay', late, early, '--policy', hasty, '--json'])
    const piped = await runBuilt(['replay', '-', '--policy', hasty, '--json'], {
      input: lines.join('\n'),
    })
    expect(divided).toEqual(whole)
    expect(piped).toEqual(whole)
  })

  test('from several pipes, which can be read only once', async () => {
    const [early, late] = [lines.slice(0, 30), lines.slice(30)].map((part, index) => {
      const name = file(`piped-${index}`, part.join('\n'))
      execFileSync('mkfifo', [`${name}.pipe`])
      // The shell opens the pipe only when it has a reader.
      spawn('sh', ['-c', 'exec cat "$0" > "$0.pipe"', name], { stdio: 'ignore' })
      return `${name}.pipe`
    }) as [string, string]
    const whole = await runBuilt(['replay', recording, '--policy', hasty, '--json'])
    expect(await runBuilt(['replay', late, early, '--policy', hasty, '--json'])).toEqual(whole)
  })

  test('is shown for people: regrets first, both policies, each pool, and what it does not show', async () => {
    const args = ['replay', recording, '--policy', hasty, '--policy', patient]
    const { code, out } = await runBuilt(args)
    expect(code).toBe(0)
    expect(out).toContain(
      `${hasty} would have ended 4 sessions: 1 used again later (regretted), 1 undecided, 2 never used again`,
    )
    expect(out).toMatch(/^ *2 {2}stale {2}2026-01-01 00:10:00 {2}11m to 12m .*shop_app@shop/m)
    expect(out).toContain(`Both would have ended 3; only ${hasty} 1; only ${patient} 0`)
    expect(out).toMatch(
      /^ *1 +1 {2}ends it: idle 600 s, limit 600 s {2,}leaves it: meets no rule {2,}shop_app@shop/m,
    )
    expect(out).toMatch(/^ *1 .* 12m +12m +.*shop_app@shop {2}php/m)
    expect(out).toContain('- The recording is 1h long.')
    // A name can't drive the terminal.
    expect(out).toContain('\\u001b[2Jevil')
    expect(out).not.toContain('\u001b')
    expect(out.indexOf('Used again')).toBeLessThan(out.indexOf('What each pool needs'))
  })

  test('without a policy shows what each pool needs', async () => {
    const { code, out } = await runBuilt(['replay', recording])
    expect(code).toBe(0)
    expect(out).toContain('No policy was replayed.')
    expect(out).toContain('What each pool needs')
  })
})

describe('--max-regret', () => {
  test.each([
    [hasty, '1', 0],
    [hasty, '0', 1],
    [patient, '0', 0],
  ])('%s %s: exit %i', async (policy, most, expected) => {
    const args = ['replay', recording, '--policy', policy, '--max-regret', most]
    const { code, err } = await runBuilt(args)
    expect(code).toBe(expected)
    expect(err).toBe(
      expected === 0 ? '' : `slotkeeper: ${policy}: 1 regretted, more than --max-regret 0\n`,
    )
  })

  test('of two policies, each must keep it', async () => {
    const args = ['replay', recording, '--policy', patient, '--policy', hasty, '--max-regret', '0']
    expect(await runBuilt(args)).toMatchObject({ code: 1 })
  })
})

describe('--suggest', () => {
  test('prints a policy that says where its numbers come from, and has no regret', async () => {
    const { code, out, err } = await runBuilt(['replay', recording, '--suggest'])
    expect(code).toBe(0)
    expect(parsePolicyText(out)).toMatchObject({ ok: true })
    const { scope, rules } = JSON.parse(out)
    expect(scope).toEqual({ users: ['shop_app', 'etl'] })
    expect(rules).toMatchObject([
      {
        match: { users: ['shop_app'], databases: ['shop'], applications: ['php'] },
        olderThan: '12m',
        $comment:
          'olderThan: the longest of 1 gap that came back took at most 12m; rounded up. 1 gap took longer and did not come back.',
      },
      { match: { applications: ['??2Jevil'] }, olderThan: '1m' },
      { match: { users: ['etl'], databases: ['shop'] }, olderThan: '1m' },
      { match: { users: ['shop_app'], applications: ['report_?'] }, olderThan: '1m' },
    ])
    expect(out).not.toContain('\u001b')
    expect(err).toContain('What comes back once a day or once a week is not in it.')
    const suggested = file('suggested.json', out)
    const again = await runBuilt([
      'replay',
      recording,
      '--policy',
      suggested,
      '--max-regret',
      '0',
      '--json',
    ])
    expect(again.code).toBe(0)
    expect(report(again.out).policies[0]).toMatchObject({
      wouldReap: 4,
      regretted: 0,
      byRule: { 'idle php': 1, [`idle ${evil}`]: 1, 'idle etl': 1, 'idle report_%': 1 },
    })
  })

  const suggestFor = async (...applications: string[]) => {
    const some = applications.map((application, index) => ({
      pid: index + 2,
      opens: 0,
      closes: 400,
      is: { application },
    }))
    const input = frames(60, 600, some).flatMap(writeFrame).join('\n')
    const { out } = await runBuilt(['replay', '-', '--suggest'], { input })
    return JSON.parse(out).rules.map(({ match }: { match: object }) => match)
  }

  test.each([
    ['*', '?'],
    ['100% (a|b)', '100? ?a?b?'],
    // As PostgreSQL 16 and later show a name that is not ASCII.
    ['caf\\xc3\\xa9', 'caf\\xc3\\xa9'],
    ['\\d+', '?d?'],
  ])('for an application that calls itself %s', async (application, expected) => {
    const [match] = await suggestFor(application)
    expect(match).toEqual({ users: ['shop_app'], databases: ['shop'], applications: [expected] })
  })

  test('one rule for names that get the same pattern', async () => {
    expect(await suggestFor('a*b', 'a?b')).toHaveLength(1)
  })

  test('names a role that no policy can name', async () => {
    const user = 'a'.repeat(64)
    const nobody = frames(60, 600, [{ pid: 2, opens: 0, is: { user } }]).flatMap(writeFrame)
    const { code, err } = await runBuilt(['replay', '-', '--suggest'], { input: nobody.join('\n') })
    expect(code).toBe(2)
    expect(err).toContain(`slotkeeper: no rule for ${user}@shop, application php: no policy can`)
  })

  test('of one snapshot there is none', async () => {
    const [one = ''] = lines
    const { code, out, err } = await runBuilt(['replay', '-', '--suggest'], { input: one })
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain('one snapshot shows of no session whether it came back')
  })

  test('without a session to end there is none', async () => {
    const busy = frames(60, 600, [{ pid: 2, opens: 0, uses: [[0, 900]] }]).flatMap(writeFrame)
    const { code, out, err } = await runBuilt(['replay', '-', '--suggest'], {
      input: busy.join('\n'),
    })
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain('there is no policy to suggest')
  })
})

describe('wrong usage ends with code 2, and says what is accepted', () => {
  const cut = file('cut.jsonl', `${lines[0]}\n${lines[1]?.slice(0, 100)}`)
  test.each<[string[], string]>([
    [[], 'no recording is given; expected FILE'],
    [['missing.jsonl'], 'missing.jsonl: ENOENT: no such file or directory'],
    [[folder], `${folder}: EISDIR`],
    [[cut], `${cut}, line 2: expected a whole line of JSON`],
    [[recording, recording], 'two files overlap'],
    [['-', recording], 'expected only one of'],
    [[recording, '--log-group', 'a'], 'expected only one of'],
    [[recording, '--since', '7d'], '--since is for --log-group only'],
    [['--log-group', 'a', '--since', 'week'], '--since: found "week"; expected a duration'],
    [[recording, '--policy', 'incidnt'], 'did you mean "incident"'],
    [[recording, '--max-regret', '0'], '--max-regret needs a policy'],
    [[recording, '--policy', hasty, '--max-regret', '-1'], '--max-regret: found "-1"'],
    [[recording, '--suggest', '--json'], "option '--suggest' cannot be used with option '--json'"],
    [[recording, '--target', 'crm'], 'at least one snapshot of target "crm", found none'],
  ])('%j', async (args, message) => {
    const { code, err } = await runBuilt(['replay', ...args])
    expect(err).toContain(message)
    expect(code).toBe(2)
  })

  test('as JSON too', async () => {
    const { code, out } = await runBuilt(['replay', cut, '--json'])
    expect(code).toBe(2)
    expect(JSON.parse(out)).toEqual({
      error: {
        kind: 'settings',
        message: expect.stringContaining('line 2: expected a whole line'),
      },
    })
  })
})

describe('a log group', async () => {
  const NAME = '/aws/lambda/slotkeeper-shop'
  const aws = await startAws({})
  const faulty = await startFaultyAws(aws.url)
  afterAll(() => Promise.all([faulty.close(), aws.close()]))
  const env = { ...EXAMPLE_KEYS, AWS_ENDPOINT_URL: faulty.url }

  // As much later as keeps the recording within the last week.
  const shift = Date.now() - 2 * 86_400_000 - START_MS
  const logged = lines.flatMap((line, index) => {
    const timestamp = START_MS + index * 60_000 + shift
    const wrapped = [
      line,
      JSON.stringify({ timestamp: 'x', level: 'INFO', message: line, requestId: 'r' }),
      JSON.stringify({ timestamp: 'x', level: 'INFO', message: JSON.parse(line) }),
      `{"timestamp":"x","level":"ERROR",${line.slice(1)}`,
      `${line}\n`,
    ]
    const noise = { timestamp, message: '{"message":"sweep","report":{}}' }
    const about = { timestamp, message: 'a note about slotkeeperRecording' }
    return [noise, about, { timestamp, message: wrapped[index % wrapped.length] as string }]
  })
  aws.logGroups.set(NAME, logged)

  const read = (...args: string[]) =>
    runBuilt(['replay', '--log-group', NAME, '--policy', hasty, '--json', ...args], { env })

  test('gives what a file gives, over many pages, some empty, some throttled, some lost', async () => {
    const throttled = { status: 400, type: 'ThrottlingException' }
    faulty.faults.push(throttled, throttled, { status: 503, type: 'ServiceUnavailableException' })
    const { code, out, err } = await read()
    expect(code).toBe(0)
    const whole = await runBuilt(['replay', recording, '--policy', hasty, '--json'])
    expect(report(out)).toEqual(report(whole.out))
    expect(err).toMatch(/^slotkeeper: read \d+ pages with 61 lines of a recording, up to /m)
    // Three requests more than there are pages.
    const [, pages] = /read (\d+) pages/.exec(err) ?? []
    expect(faulty.requests).toBe(Number(pages) + 3)
    expect(Number(pages)).toBeGreaterThan(3)
  })

  test('--since leaves out what is older', async () => {
    const sinceMs = Date.now() - (START_MS + shift) - 1_800_000
    const { out } = await read('--since', `${Math.round(sinceMs)}ms`)
    expect(report(out).snapshots).toBeGreaterThan(25)
    expect(report(out).snapshots).toBeLessThan(35)
  })

  test('a bad line names the stream and the time', async () => {
    const message = lines[0]?.slice(0, 80) ?? ''
    aws.logGroups.set('/cut', [{ timestamp: Date.now() - 1_000, message }])
    const { code, err } = await runBuilt(['replay', '--log-group', '/cut'], { env })
    expect(code).toBe(2)
    expect(err).toMatch(/log group \/cut, stream \S+, \S+Z: expected a whole line of JSON/)
  })

  test.each([
    ['/none', 2, 'The specified log group does not exist'],
    ['/empty', 2, 'log group /empty: expected a recording with at least one snapshot'],
  ])('%s', async (name, expected, message) => {
    aws.logGroups.set('/empty', [])
    const { code, err } = await runBuilt(['replay', '--log-group', name], { env })
    expect(err).toContain(message)
    expect(code).toBe(expected)
  })

  test('what the caller may not read is named, with the permission', async () => {
    faulty.faults.push({ status: 400, type: 'AccessDeniedException' })
    const { code, err } = await read()
    expect(code).toBe(3)
    expect(err).toContain(`log group ${NAME} could not be read (page 1)`)
    expect(err).toContain('logs:FilterLogEvents')
  })
})
