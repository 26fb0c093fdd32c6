import { describe, expect, test } from 'vitest'
import { diagnose } from '../../../../cli/doctor/diagnose.ts'
import { inBaseUnit } from '../../../../cli/doctor/facts.ts'
import { identifier, literal } from '../../../../cli/doctor/quote.ts'
import { showDiagnosis } from '../../../../cli/doctor/show.ts'
import { wrap } from '../../../../cli/doctor/wrap.ts'
import { hostileText, isHarmless } from '../../../support/hostile.ts'
import { observed } from '../../../support/observed.ts'
import { fc } from '../../../support/seeded.ts'
import { session } from '../../../support/session.ts'

test.each<[value: string, unit: string | null, base: number | null]>([
  ['15min', 'ms', 900_000],
  ['900000', 'ms', 900_000],
  ['1.5h', 'ms', 5_400_000],
  ['30 s', 'ms', 30_000],
  ['16384', '8kB', 134_217_728],
  ['4096', 'kB', 4_194_304],
  ['1GB', 'kB', 1_073_741_824],
  ['0', 'ms', 0],
  ['off', null, null],
])('inBaseUnit(%j, %j)', (value, unit, base) => {
  expect(inBaseUnit(value, unit)).toBe(base)
})

test.each([
  ['shop_app', 'shop_app'],
  ['shop', '"shop"'],
  ['user', '"user"'],
  ['session_user', '"session_user"'],
  ['Shop_App', '"Shop_App"'],
  ['a"b', '"a""b"'],
  ['a\u001bb\\', 'U&"a\\+00001bb\\\\"'],
])('identifier(%j)', (name, quoted) => {
  expect(identifier(name)).toBe(quoted)
})

test('literal', () => {
  expect(literal("it's")).toBe("'it''s'")
  expect(literal("it's\u202e")).toBe("U&'it''s\\+00202e'")
})

describe('wrap', () => {
  test('no line is longer than the terminal, and no word is lost', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 10, max: 120 }), (text, width) => {
        const lines = wrap(text, width, '  ')
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(width)
        expect(lines.join('').replaceAll(/\s/g, '')).toBe(text.replaceAll(/\s/g, ''))
      }),
    )
  })
})

test('names from the server never drive the terminal', () => {
  fc.assert(
    fc.property(hostileText, hostileText, (user, application) => {
      const sessions = Array.from({ length: 98 }, () =>
        session({ user, application, ageSeconds: 5400 }),
      )
      const shown = showDiagnosis(diagnose(observed([sessions])))
      expect(isHarmless(shown.replaceAll('\n', ''))).toBe(true)
    }),
  )
})

test('the worst finding and the plan are on the first screen', () => {
  const sessions = Array.from({ length: 97 }, () =>
    session({
      application: '',
      ageSeconds: 5400,
      client: '2001:db8:1234:5678:9abc:def0:1234:5678',
    }),
  )
  const shown = showDiagnosis(diagnose(observed([sessions], { form: 'pdo' })))
  const screen = shown.split('\n').slice(0, 23)
  for (const line of screen) expect(line.length).toBeLessThanOrEqual(80)
  const text = screen.join('\n')
  for (const part of [
    'No slot is free',
    'pg_terminate_backend',
    'CONNECTION LIMIT',
    'DB::disconnect',
    'more slots',
  ]) {
    expect(text).toContain(part)
  }
})

test('a server with nothing wrong', () => {
  expect(showDiagnosis(diagnose(observed([[session()]])))).toContain(
    'Nothing is wrong with the slots.',
  )
})

test('a hint is not shown as what is wrong', () => {
  const { roles } = observed([[session()]]).facts
  if (roles) roles.roles = roles.roles.map((one) => ({ ...one, replication: false }))
  const hinted = diagnose(observed([[session()]], { facts: { roles } }))
  expect(hinted.findings.map(({ severity }) => severity)).toEqual(['info'])
  const [above, below] = showDiagnosis(hinted).split('Who holds the slots')
  expect(above).toContain('Nothing is wrong with the slots.')
  expect(above).not.toContain('REPLICATION')
  expect(below).toContain('REPLICATION')
})
