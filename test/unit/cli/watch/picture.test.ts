import { expect, test } from 'vitest'
import { isInReserve, waitMs } from '../../../../cli/watch/loop.ts'
import { HISTORY_MS, lose, see } from '../../../../cli/watch/picture.ts'
import type { Entry } from '../../../../lambda/core/report.ts'
import { SlotkeeperError } from '../../../../lambda/errors.ts'
import { session, snapshot } from '../../../support/session.ts'
import { stale, sweepOf, watched } from '../../../support/watched.ts'

const lost = new SlotkeeperError('unreachable', 'db:5432 does not answer')

test('while a session stays condemned, observing counts it once; used again and idle again, twice', () => {
  const victim = session({ ageSeconds: 1_000 })
  const condemned = sweepOf(snapshot([victim]))
  const used = sweepOf(snapshot([{ ...victim, ageSeconds: 0 }]))
  const looks = [condemned, condemned, used, condemned]
  const totals = looks.reduce(
    ({ all, picture }, look) => {
      const next = see(picture, look, 0)
      return { all: [...all, next.totals.reaped], picture: next }
    },
    { all: [] as number[], picture: watched() },
  ).all
  expect(totals).toEqual([1, 1, 1, 2])
})

test('reaping counts what was reaped, and what is gone is not next', () => {
  const sessions = [session({ ageSeconds: 1_000 }), session({ ageSeconds: 800 })]
  const reap = watched({ mode: 'reap' })
  const reaped = see(reap, sweepOf(snapshot(sessions), stale, 'reap'), 0)
  expect(reaped.totals).toEqual({ looks: 1, reaped: 1, refused: 0 })
  expect(reaped.sight?.next).toMatchObject([{ session: { ageSeconds: 800 }, seconds: 100 }])
  const refused = sweepOf(snapshot(sessions), stale, 'reap', {
    outcome: 'refused',
    sqlstate: '42501',
    message: 'no',
  })
  const next = see(reaped, refused, 1)
  expect(next.totals).toEqual({ looks: 2, reaped: 1, refused: 1 })
  expect(next.sight?.next).toHaveLength(2)
})

test('a lost server keeps the last picture and the time of the first loss, until a look succeeds', () => {
  const seen = see(watched(), sweepOf(snapshot([session()])), 1_000)
  const once = lose(seen, lost, 3_000)
  const twice = lose(once, new SlotkeeperError('exhausted', 'full'), 5_000)
  expect(twice).toMatchObject({
    sight: seen.sight,
    lost: { sinceMs: 3_000, kind: 'exhausted', message: 'full' },
    history: seen.history,
  })
  const again = see(twice, sweepOf(snapshot([session()])), 7_000)
  expect(again.lost).toBeUndefined()
  expect(again.history).toHaveLength(2)
})

test('what is kept does not grow without end', () => {
  const many = snapshot(Array.from({ length: 300 }, () => session({ ageSeconds: 1_000 })))
  const first = see(watched(), sweepOf(many), 0)
  expect(first.totals.reaped).toBe(300)
  expect(first.sight?.reaps).toHaveLength(300)
  expect(first.reaps).toHaveLength(200)
  expect(see(first, sweepOf(many), HISTORY_MS + 1).history).toHaveLength(1)
})

test.each([
  [2_000, [2_000, 2_000, 4_000, 8_000, 10_000, 10_000]],
  [60_000, [60_000, 60_000, 60_000]],
])('looks every %i ms become rarer while they fail', (everyMs, waits) => {
  expect(waits.map((_, failures) => waitMs(everyMs, failures))).toEqual(waits)
})

test.each<[Entry, number, boolean]>([
  ['client', 98, true],
  ['client', 97, false],
  // It may have come in while there was room, and without the right to the reserve it could not come back.
  ['warm', 98, false],
  ['walsender', 98, false],
])('over a %s connection with %i of 97 slots used, it holds the reserve: %s', (entry, used, is) => {
  const slots = { max: 100, reserved: 3, used, available: 0, usedPercent: 100 }
  expect(isInReserve({ entry, slots })).toBe(is)
})
