import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { App } from 'aws-cdk-lib'
import { describe, expect, test } from 'vitest'
import { DOCUMENTS } from '../../bench/documents.ts'
import { markdown, quote, type Result } from '../../bench/table.ts'
import { readContext } from '../../infra/context.ts'
import { addStacks } from '../../infra/stacks.ts'
import { openedSince } from '../../lambda/core/churn.ts'
import type { ClusterReport, InstanceFailure } from '../../lambda/core/cluster-report.ts'
import { measure, measureFailure, measurePause } from '../../lambda/core/measurements.ts'
import { parsePolicy, parsePolicyText } from '../../lambda/core/policy.ts'
import { type Mode, makeReport } from '../../lambda/core/report.ts'
import type { Snapshot } from '../../lambda/core/session.ts'
import type { Verdict } from '../../lambda/core/verdict.ts'
import { readSettings } from '../../lambda/settings.ts'
import { policy } from '../support/session.ts'

const MODES: Mode[] = ['reap', 'observe']

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')

const json = ['README.md', 'docs/policy.md'].flatMap((file) =>
  [...read(file).matchAll(/```json\n([\s\S]*?)```/g)].map(([, text = '']) => [file, text] as const),
)
const policies = json.filter(([, text]) => text.startsWith('{'))

describe('each policy in the docs is valid', () => {
  test.each(policies)('%s %s', (_, json) => {
    expect(parsePolicyText(json)).toMatchObject({ ok: true })
  })
})

test('the cdk.json in the README can be deployed once its host is real', () => {
  const [[, fragment = ''] = []] = json.filter(([, text]) => !text.startsWith('{'))
  const { slotkeeper } = JSON.parse(`{${fragment}}`)
  const context = readContext(slotkeeper)
  const app = new App()
  addStacks(app, context)
  expect(app.synth().stacks.map(({ stackName }) => stackName)).toContain('Slotkeeper-shop')
  expect(() => readContext(slotkeeper, { account: '111122223333' })).toThrow('is a placeholder')
})

test('docs/operations.md names every key of cdk.json', () => {
  const keysOf = (context: object) => {
    try {
      readContext(context)
    } catch (error) {
      const refusal = /unknown key; expected an object with (.+), found/.exec(String(error))
      return refusal?.[1]?.split(', ') ?? []
    }
    return []
  }
  const keys = [...keysOf({ '?': 1, targets: [] }), ...keysOf({ targets: [{ '?': 1 }] })]
  expect(keys.length).toBeGreaterThan(15)
  for (const key of keys) expect(read('docs/operations.md')).toContain(`\`${key}\``)
})

test('the built-in policy "incident" equals the documented one', () => {
  const documented = policies.filter(([file]) => file === 'docs/policy.md')
  expect(documented.map(([, text]) => parsePolicyText(text))).toContainEqual(
    parsePolicy('incident'),
  )
})

/** The names in the first column of a table, where a short form such as `_PORT` has its prefix. */
const namesIn = (file: string, head: string) => {
  const table = read(file).split(head)[1]?.split('\n\n')[0] ?? ''
  return table
    .split('\n')
    .flatMap((row) =>
      [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
    )
    .map((name) => (name.startsWith('_') ? `SLOTKEEPER${name}` : name))
}

test('docs/reference.md names every variable, and no other', () => {
  const asked = new Set<string>()
  const env = new Proxy(
    {},
    {
      get: (_, name) => {
        asked.add(String(name))
        return undefined
      },
    },
  )
  expect(() => readSettings(env, '.')).toThrow('SLOTKEEPER_MODE')
  const names = namesIn('docs/reference.md', '| variable | meaning |')
  expect(names.sort()).toEqual([...asked].sort())
})

const incident = policy('incident')
const session = { state: 'idle', ageSeconds: 1 } as Snapshot['sessions'][number]
const snapshot = { sessions: [session], slots: { max: 10, reserved: 1 } } as Snapshot
const reportOf = (mode: Mode, verdicts: Verdict[] = []) =>
  makeReport({
    target: 'shop',
    mode,
    entry: 'client',
    at: '',
    durationMs: 1,
    snapshot,
    policy: incident,
    verdicts,
    outcomes: [],
  })

test('docs/reference.md names every metric, and no other', () => {
  const before = { atMs: 0, opened: 0, pools: [] }
  const all = MODES.flatMap((mode) => {
    const report = reportOf(mode)
    const opened = openedSince(before, { ...snapshot, opened: 1 })
    const counted = { ...report, sessions: { ...report.sessions, opened } }
    const circumstances = { policy: incident, newlyCondemned: 0, wouldRefuse: 0 }
    return measure(snapshot, counted, 'full', circumstances)
  }).concat(measureFailure(true, 1, 'full'), measurePause(true))
  const published = new Set(all.map(({ name }) => name))
  const names = namesIn('docs/reference.md', '| metric | unit | note |')
  expect(names.sort()).toEqual([...published].sort())
})

test('docs/reference.md names every field of the report', () => {
  const verdict = { verdict: 'reap', session, rule: 'r', action: 'terminate', why: '' } as const
  const report = reportOf('observe', [verdict])
  const [victim = {}] = report.wouldReap
  const { server, slots, sessions, spared } = report
  const fields = [report, server, slots, sessions, spared, victim].flatMap(Object.keys)
  expect(fields.length).toBeGreaterThan(40)
  const section = read('docs/reference.md').split('## The report')[1]?.split('\n## ')[0]
  for (const field of fields) expect(section).toContain(`\`${field}\``)
})

test('docs/reference.md names every field of the report of a cluster', () => {
  const failure: InstanceFailure = { target: '', error: { kind: '', message: '' } }
  const away = { target: '', why: '', inDoubt: false }
  const report: Required<ClusterReport> = {
    target: '',
    mode: 'observe',
    at: '',
    durationMs: 1,
    instances: [failure],
    stayedAway: [away],
  }
  const fields = [report, failure, failure.error, away].flatMap(Object.keys)
  const section = read('docs/reference.md')
    .split('### The report of a cluster')[1]
    ?.split('\n## ')[0]
  for (const field of fields) expect(section).toContain(`\`${field}\``)
})

test('docs/operations.md says what each metric of a cluster is made of', () => {
  const names = namesIn('docs/operations.md', '| metric of the cluster | is |')
  const all = namesIn('docs/reference.md', '| metric | unit | note |')
  expect(names.sort()).toEqual(all.filter((name) => name !== 'Paused').sort())
})

test('docs/reference.md names every option of the command line, and no other', () => {
  const expected = [
    'sweep',
    'doctor',
    'watch',
    'record',
    'replay',
    'drill',
    'grants',
    'targets',
    'rehearse',
  ]
  const help = [...expected, ''].map((verb) =>
    execFileSync(process.execPath, ['dist/cli.mjs', verb, '--help'].filter(Boolean), {
      encoding: 'utf8',
    }),
  )
  const verbs = [...(help.at(-1) ?? '').matchAll(/^ {2}(\w+) \[options\]/gm)].map(
    ([, verb]) => verb,
  )
  expect(verbs).toEqual(expected)
  for (const verb of verbs) expect(read('README.md')).toContain(`\`slotkeeper ${verb}\``)
  const options = new Set(help.flatMap((text) => text.match(/(?<=^ .*)--[a-z-]+(?=[ ,])/gm) ?? []))
  const table = read('docs/reference.md').split('| option | verbs | meaning |')[1]?.split('\n\n')[0]
  const named = (table ?? '')
    .split('\n')
    .flatMap((row) => row.split('|')[1]?.match(/--[a-z][a-z-]+/g) ?? [])
  expect(named.sort()).toEqual([...options].sort())
})

test('docs/reference.md names the exit code of every kind of error', () => {
  const codes: Record<string, number> = { EXIT_REFUSED: 1, EXIT_USAGE: 2, EXIT_NO_CONNECTION: 3 }
  const kinds = [...read('cli/exit-codes.ts').matchAll(/^ {2}(\w+): (EXIT_\w+),$/gm)]
  expect(kinds.length).toBeGreaterThan(10)
  for (const [, kind = '', code = ''] of kinds) {
    expect(read('docs/reference.md')).toContain(`| \`${kind}\` | ${codes[code]} |`)
  }
})

describe('each document shows the table of the benchmark as measured', () => {
  test.each(Object.entries(DOCUMENTS))('%s in %s', (name, file) => {
    const [, table] =
      new RegExp(`<!-- bench ${name} -->\n([\\s\\S]*?)\n<!-- end -->`).exec(read(file)) ?? []
    expect(table).toBe(markdown(JSON.parse(read(`bench/results/${name}.json`)) as Result))
  })

  test('a document without its marks is an error', () => {
    expect(quote('<!-- bench reap -->\nold\n<!-- end -->\n', 'reap', 'new')).toBe(
      '<!-- bench reap -->\nnew\n<!-- end -->\n',
    )
    expect(() => quote('# Speed\n', 'reap', 'new')).toThrow('<!-- bench reap -->')
  })
})

test('the docs state the measured number of wrongly ended sessions', () => {
  const { rows } = JSON.parse(read('bench/results/wrongful.json')) as Result
  const [, reaps = 0, busy, , wire] = rows.find(([name]) => name === '**Slotkeeper**') ?? []
  const [, , , , timeoutsWire] = rows.find(([name]) => name === 'idle_session_timeout') ?? []
  const met = Math.round((Number(busy) / 1000) * Number(reaps))
  const counted = Number(reaps).toLocaleString('en-US')
  const [, scripts = 0, scriptsBusy] = rows.find(([name]) => name === 'cron script, by age') ?? []
  const scriptsMet = Math.round((Number(scriptsBusy) / 1000) * Number(scripts))
  const flowing = (file: string) => read(file).replace(/\s+/g, ' ')
  expect(flowing('README.md')).toContain(`${met} of ${counted}`)
  expect(flowing('README.md')).toContain(`${scriptsMet} of ${scripts} sessions`)
  expect(flowing('docs/reference.md')).toContain(`${met} of ${counted}`)
  expect(read('docs/safety.md')).toContain(counted)
  // About as many: the number depends on how busy the machine is.
  expect(Number(wire)).toBeLessThan(2 * Number(timeoutsWire))
})

test('the README states the cost of a target that the benchmark calculated', () => {
  const { rows } = JSON.parse(read('bench/results/cost.json')) as Result
  const [, full = 0, essential = 0] = rows.find(([name]) => name === '**together**') ?? []
  const readme = read('README.md')
  expect(readme).toContain(`about ${Math.round(Number(full))} USD a month`)
  expect(readme).toContain(`${essential} with fewer metrics`)
})

test('each test that docs/safety.md names exists', () => {
  const rows = [
    ...read('docs/safety.md').matchAll(/\]\(\.\.\/(test\/[\w/.-]+)\)(?:[ \n]`([^`]+)`)?/g),
  ]
  expect(rows.length).toBeGreaterThan(10)
  for (const [, file = '', title = ''] of rows) {
    const quoted = [...read(file).matchAll(/(['"`])(?:(?!\1).)*\1/g)].map(([text]) => text)
    expect(quoted.join('\n'), file).toContain(title)
  }
})

test('the README has at most 150 lines', () => {
  expect(read('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(150)
})

describe('every link within the repository has a target', () => {
  const pages = [
    ...readdirSync('.').filter((name) => name.endsWith('.md')),
    ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
    'examples/README.md',
  ]
  const withoutCode = (file: string) => read(file).replace(/^ *```[\s\S]*?^ *```$/gm, '')
  // As GitHub names the headings of a page.
  const anchorsOf = (file: string) => [
    ...[...withoutCode(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_ -]/gu, '')
        .replaceAll(' ', '-'),
    ),
    ...[...read(file).matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id),
  ]
  const links = pages.flatMap((page) =>
    [...withoutCode(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => [page, link] as const)
      .filter(([, link]) => !/^[a-z]+:/.test(link)),
  )

  test.each(links)('%s: %s', (page, link) => {
    const [path = '', anchor] = link.split('#')
    const file = path === '' ? page : join(dirname(page), path)
    expect(existsSync(file)).toBe(true)
    if (anchor !== undefined) expect(anchorsOf(file)).toContain(anchor)
  })
})

test('the picture has no ordinary spaces, which browsers collapse', () => {
  const texts = [...read('docs/rehearsal.svg').matchAll(/<text [^>]*>([^<]*)<\/text>/g)]
  expect(texts.length).toBeGreaterThan(50)
  for (const [, text] of texts) expect(text).not.toContain(' ')
})
