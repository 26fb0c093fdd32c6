import { describe, expect, test } from 'vitest'
import { type Controls, START } from '../../../../cli/watch/controls.ts'
import { sparkline } from '../../../../cli/watch/head.ts'
import { lose, type Picture, see } from '../../../../cli/watch/picture.ts'
import { widthOf } from '../../../../cli/watch/text.ts'
import { allot, view } from '../../../../cli/watch/view.ts'
import { SlotkeeperError } from '../../../../lambda/errors.ts'
import * as any from '../../../support/arbitrary.ts'
import { hostileText, isHarmless } from '../../../support/hostile.ts'
import { fc } from '../../../support/seeded.ts'
import { policy, session, snapshot } from '../../../support/session.ts'
import { sweepOf, watched } from '../../../support/watched.ts'

const SMALL = { columns: 80, rows: 24, unicode: true }
const LARGE = { columns: 200, rows: 60, unicode: true }

function linesOf(
  picture: Picture,
  different: Partial<Controls> = {},
  screen = SMALL,
  nowMs = 1_000,
): string[] {
  return view(picture, { ...START, ...different }, screen, nowMs).map((line) =>
    line.map(({ text }) => text).join(''),
  )
}
const textOf = (...given: Parameters<typeof linesOf>) => linesOf(...given).join('\n')

const web = (ageSeconds: number) => session({ application: 'web', ageSeconds })
const leak = [
  ...[800, 870, 2_000, 3_000].map(web),
  session({ application: 'cron', state: 'active' }),
]
const seen = see(watched(), sweepOf(snapshot(leak)), 1_000)
const rows = seen.sight?.pools ?? []

test('shows slots, pools, what is next and what would have been reaped', () => {
  const lines = linesOf(seen)
  expect(lines[0]).toMatch(/^observes db:5432 {2}\d\d:\d\d:\d\d UTC, every 2s, PostgreSQL 18\.4/)
  expect(lines[1]).toMatch(/^#+\.+r+ 5\.2 %: 5 of 97 slots \(\+ 3 reserved\)$/)
  expect(lines[2]).toMatch(/^ +▁ 10 min {2}4 idle, 1 active$/)
  const text = lines.join('\n')
  expect(text).toContain('Pools: 2, by sessions')
  expect(text).toMatch(/^> +4 +0 +4 +50m +4 web +shop_app@shop 10\.0\.1\.7 2 due now$/m)
  expect(text).toContain('Next to meet a rule, if it stays as it is: 2 now')
  expect(text).toMatch(/^ *in 30s stale \d+ +idle 14m 30s web /m)
  expect(text).toMatch(/^in 1m 40s stale \d+ +idle 13m 20s web /m)
  expect(text).toContain('Would have been reaped: 2, the last first')
  expect(text).toMatch(/^\d\d:\d\d:\d\d 2 sessions by stale 33m 20s to 50m web /m)
  expect(lines.at(-1)).toMatch(/^q quit/)
  expect(lines).toHaveLength(24)
})

test('the time left goes on between two looks, and stands still on an old picture', () => {
  expect(textOf(seen, {}, SMALL, 13_000)).toMatch(/^ *in 18s stale/m)
  expect(textOf(seen, {}, SMALL, 90_000)).toMatch(/^ *now stale/m)
  expect(textOf(seen, { paused: true }, SMALL, 13_000)).toMatch(/^ *in 30s stale/m)
  const old = lose(seen, new SlotkeeperError('unreachable', 'db:5432 refuses'), 3_000)
  const text = textOf(old, {}, LARGE, 45_000)
  expect(text).toMatch(/^ *in 30s {2}stale/m)
  expect(text).toContain(
    'LOOKS FAIL since 00:00:03 UTC (42s); tries again. This picture is old. db:5432 refuses',
  )
})

test('a reap says so, and never that it would', () => {
  const reaped = see(watched({ mode: 'reap' }), sweepOf(snapshot(leak), undefined, 'reap'), 1_000)
  const text = textOf(reaped)
  expect(text).toMatch(/^REAPS db:5432/)
  expect(text).toContain('Reaped: 2, the last first')
  expect(text).toMatch(/ 2 reaped$/m)
  expect(text).not.toMatch(/would/i)
})

test('says which rule waits for its condition, and which one acts', () => {
  const crowd = { name: 'crowd', state: 'idle', olderThan: '0s', when: { idleOver: 5 } } as const
  const given = policy({ rules: [crowd, { ...crowd, name: 'few', when: { idleOver: 1 } }] })
  const text = textOf(see(watched({ policy: given }), sweepOf(snapshot(leak), given), 1_000))
  expect(text).toContain('rule crowd waits: 4 idle, acts above 5')
  expect(text).toContain('rule few acts: 4 idle, acts above 1')
})

test('shows the sessions of one pool, the longest idle first, and scrolls', () => {
  const selected = rows[0]?.key ?? ''
  const text = textOf(seen, { page: 'sessions', selected })
  expect(text).toContain('web  shop_app@shop  10.0.1.7: 4 sessions')
  const ages = [...text.matchAll(/idle +(\d.*?) +- \d/g)].map(([, age]) => age)
  expect(ages).toEqual(['50m', '33m 20s', '14m 30s', '13m 20s'])
  expect(text).toMatch(/ now: stale$/m)
  expect(text).toMatch(/ in 30s: stale$/m)
  const few = textOf(seen, { page: 'sessions', selected, scrolled: 3 }, { ...SMALL, rows: 9 })
  expect(few).toContain('4 sessions, 3 to 4 shown')
  expect(few).not.toContain('50m')
  expect(textOf(seen, { page: 'sessions', selected: 'gone' })).toContain(
    'No session of this pool is left.',
  )
})

test('the chosen pool is among those that are shown', () => {
  const many = Array.from({ length: 50 }, (_, at) => session({ application: `app${at}` }))
  const picture = see(watched(), sweepOf(snapshot(many)), 1_000)
  for (const { key, pool } of picture.sight?.pools ?? []) {
    expect(textOf(picture, { selected: key })).toMatch(
      new RegExp(`^> .* ${pool.application} `, 'm'),
    )
  }
})

test('the page of help is whole on the smallest usual terminal', () => {
  const text = textOf(seen, { page: 'help' })
  expect(text).toContain('"observes" ends none, whatever the lists say.')
  expect(text).not.toContain('…')
})

test.each<[string, Partial<Controls>, Picture, string]>([
  ['connecting', {}, watched(), 'Connecting to db:5432 …'],
  ['paused', { paused: true }, seen, 'PAUSED: no further look is taken, and no slot is held.'],
  ['ending', { ending: true }, seen, 'ENDING: waits for the sweep under way'],
  [
    'full',
    {},
    see(watched(), sweepOf(snapshot(leak, { slots: { max: 8, reserved: 3 } })), 0),
    'FULL: no slot is left for ordinary roles.',
  ],
  [
    'without the right to signal',
    {},
    see(watched(), sweepOf(snapshot(leak, { maySignal: false })), 0),
    'GRANT pg_signal_backend TO "reaper";',
  ],
])('says that it is %s', (_, controls, picture, words) => {
  expect(textOf(picture, controls)).toContain(words)
})

describe('the line of the used slots', () => {
  const at = (minutesAgo: number, used: number) => ({
    atMs: 600_000 - minutesAgo * 60_000,
    used,
    usable: 97,
  })
  test.each<[string, ReturnType<typeof at>[], string]>([
    ['nothing yet', [], '          '],
    ['now', [at(0, 97)], '         #'],
    ['a gap', [at(9.5, 0), at(0, 50)], '_        ='],
    ['the most in its time', [at(0.9, 97), at(0.1, 1)], '         #'],
    ['almost full is not full', [at(0, 96)], '         %'],
    ['over full', [at(0, 100)], '         #'],
    ['too old', [at(10, 97)], '          '],
  ])('%s', (_, history, expected) => {
    expect(sparkline(history, 600_000, 10, '_.-=+*%#')).toBe(expected)
  })
})

test.each([
  [20, [5, 3, 3], [5, 3, 3]],
  [9, [20, 20, 20], [5, 2, 2]],
  [8, [20, 2, 20], [4, 2, 2]],
  [0, [5, 5], [0, 0]],
])('%i rows for %j are shared as %j', (room, wants, given) => {
  expect(allot(room, wants)).toEqual(given)
})

test('no line is wider or harmful, and none is too many, on any screen and whatever the names', () => {
  const names = fc.oneof(
    hostileText,
    fc.constantFrom(
      '日本語アプリ',
      '👩‍👩‍👧‍👦',
      'e\u0301\u0302\u0303',
      'ｆｕｌｌ',
      '🇯🇵',
      'عربى',
      '각',
    ),
  )
  const named = fc
    .tuple(any.snapshot, fc.array(names, { minLength: 1, maxLength: 5 }))
    .map(([look, given]) => ({
      ...look,
      sessions: look.sessions.map((one, at) => ({
        ...one,
        user: given[at % given.length] ?? '',
        application: given[(at + 1) % given.length] ?? '',
      })),
    }))
  const screens = fc.record({
    columns: fc.integer({ min: 1, max: 200 }),
    rows: fc.integer({ min: 1, max: 60 }),
    unicode: fc.boolean(),
  })
  const pages = fc.constantFrom<Controls['page']>('pools', 'sessions', 'help')
  fc.assert(
    fc.property(
      named,
      any.policyInput,
      screens,
      pages,
      fc.boolean(),
      (look, written, screen, page, isLost) => {
        const given = policy(written)
        const picture = see(watched({ policy: given }), sweepOf(look, given), 1_000)
        const error = new SlotkeeperError('query', look.sessions[0]?.user ?? '')
        const shown = isLost ? lose(picture, error, 2_000) : picture
        const selected = shown.sight?.pools[0]?.key ?? ''
        const lines = linesOf(shown, { page, selected }, screen, 3_000)
        expect(lines.length).toBeLessThanOrEqual(screen.rows)
        for (const line of lines) {
          expect(widthOf(line)).toBeLessThanOrEqual(screen.columns)
          expect(isHarmless(line)).toBe(true)
        }
      },
    ),
    any.RUNS,
  )
})
