import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { diagnose } from '../../cli/doctor/diagnose.ts'
import { heldUnderReaping } from '../../cli/doctor/findings/churn.ts'
import { showDiagnosis } from '../../cli/doctor/show.ts'
import type { Session } from '../../lambda/core/session.ts'
import { observed } from '../support/observed.ts'
import { session } from '../support/session.ts'

const page = readFileSync('docs/incident.md', 'utf8')
const [, screen = ''] = /<!-- doctor -->\n```\n([\s\S]*?)```\n<!-- end -->/.exec(page) ?? []

/** Everything but how long, how many and where. */
const form = (text: string) =>
  text
    .replaceAll(/\d+(\.\d+)*(:\d+)*/g, 'N')
    .replaceAll(/(?<=N) ?[hms]\b/g, '')
    .replaceAll(/(N )+N/g, 'N')

/** 95 sessions of PHP without a name, six of them in use, and two of another application. */
function incident(): Session[][] {
  const idle = Array.from({ length: 89 }, () =>
    session({ application: '', ageSeconds: 163, client: '127.0.0.1' }),
  )
  const used = Array.from({ length: 6 }, () =>
    session({ application: '', ageSeconds: 3, client: '127.0.0.1' }),
  )
  const others = Array.from({ length: 2 }, () =>
    session({ user: 'crm_app', application: 'crm-web', ageSeconds: 163, client: '127.0.0.1' }),
  )
  const busy = used.map((one, index) => (index < 2 ? { ...one, state: 'active' } : one))
  return [
    [...idle, ...busy, ...others],
    [...idle, ...used, ...others],
  ]
}

test('docs/incident.md shows what doctor prints of the incident', () => {
  const shown = showDiagnosis(diagnose(observed(incident(), { form: 'pdo', refused: true })))
  const lines = screen.trimEnd().split('\n')
  expect(lines.length).toBeGreaterThan(18)
  expect(lines.length).toBeLessThanOrEqual(23)
  // The first line has the target and the time.
  expect(form(shown.split('\n').slice(1, lines.length).join('\n'))).toBe(
    form(lines.slice(1).join('\n')),
  )
})

test('the arithmetic of docs/incident.md', () => {
  expect(page).toContain('196 x (3 + 3) / 12 = 98')
  // The same ratios, in real times.
  expect(heldUnderReaping(196, 120)).toBe(98)
  expect(page).toContain('With pauses twice as long it is 49')
  expect(heldUnderReaping(196, 240)).toBe(49)
})
