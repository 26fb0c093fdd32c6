import { readFileSync } from 'node:fs'
import { App } from 'aws-cdk-lib'
import { describe, expect, test } from 'vitest'
import { markdown, type Result } from '../../bench/table.ts'
import { readContext } from '../../infra/context.ts'
import { addStacks } from '../../infra/stacks.ts'
import { measure, measureFailure } from '../../lambda/core/measurements.ts'
import { parsePolicy, parsePolicyText } from '../../lambda/core/policy.ts'
import { type Mode, makeReport } from '../../lambda/core/report.ts'
import type { Snapshot } from '../../lambda/core/session.ts'
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
  const [, documented = ''] = policies.find(([file]) => file === 'docs/policy.md') ?? []
  expect(parsePolicyText(documented)).toEqual(parsePolicy('incident'))
})

test('the README names every variable and no other', () => {
  const table = read('README.md').split('| variable | meaning |')[1]?.split('\n\n')[0] ?? ''
  const names = table
    .split('\n')
    .flatMap((row) =>
      [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
    )
    .map((name) => (name.startsWith('_') ? `SLOTKEEPER${name}` : name))
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
  expect(names.sort()).toEqual([...asked].sort())
})

test('the README names every metric', () => {
  const session = { state: 'idle', ageSeconds: 1 } as Snapshot['sessions'][number]
  const snapshot = { sessions: [session], slots: { max: 10, reserved: 1 } } as Snapshot
  const incident = policy('incident')
  const reportOf = (mode: Mode) =>
    makeReport({
      target: 'shop',
      mode,
      entry: 'client',
      at: '',
      durationMs: 1,
      snapshot,
      policy: incident,
      verdicts: [],
      outcomes: [],
    })
  const all = MODES.flatMap((mode) =>
    measure(snapshot, reportOf(mode), 'full', {
      policy: incident,
      condemned: 0,
      newlyCondemned: 0,
    }),
  ).concat(measureFailure(true, 1, 'full'))
  for (const { name } of all) expect(read('README.md')).toContain(`\`${name}\``)
})

describe('the docs show the tables of the benchmark as measured', () => {
  const marked = ['README.md', 'docs/operations.md', 'docs/safety.md', 'docs/speed.md'].flatMap(
    (file) =>
      [...read(file).matchAll(/<!-- bench (\w+) -->\n([\s\S]*?)\n<!-- end -->/g)].map(
        ([, name = '', table = '']) => [file, name, table] as const,
      ),
  )

  test.each(marked)('%s %s', (_, name, table) => {
    expect(table).toBe(markdown(JSON.parse(read(`bench/results/${name}.json`)) as Result))
  })
})

test('the docs state the measured number of wrongly ended sessions', () => {
  const { rows } = JSON.parse(read('bench/results/wrongful.json')) as Result
  const [, reaps = 0, busy, , wire] = rows.find(([name]) => name === '**Slotkeeper**') ?? []
  const [, , , , timeoutsWire] = rows.find(([name]) => name === 'idle_session_timeout') ?? []
  const met = Math.round((Number(busy) / 1000) * Number(reaps))
  const counted = Number(reaps).toLocaleString('en-US')
  expect(read('README.md').split(`${met} of ${counted}`)).toHaveLength(3)
  expect(read('docs/safety.md')).toContain(counted)
  expect(Number(timeoutsWire)).toBeGreaterThan(Number(wire))
})

test('each test that docs/safety.md names exists', () => {
  const rows = [...read('docs/safety.md').matchAll(/\]\(\.\.\/(test\/[\w/.-]+)\)[ \n]`([^`]+)`/g)]
  expect(rows.length).toBeGreaterThan(10)
  for (const [, file = '', title = ''] of rows) expect(read(file)).toContain(title)
})
