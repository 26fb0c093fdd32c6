import { expect, test } from 'vitest'
import { describeLook } from '../../../../cli/watch/lines.ts'
import { lose, type Picture, see } from '../../../../cli/watch/picture.ts'
import type { Session } from '../../../../lambda/core/session.ts'
import { SlotkeeperError } from '../../../../lambda/errors.ts'
import { session, snapshot } from '../../../support/session.ts'
import { stale, sweepOf, watched } from '../../../support/watched.ts'

const web = (ageSeconds = 60) => session({ application: 'web', ageSeconds })
const look = (before: Picture, sessions: Session[], nowMs = 0) =>
  see(before, sweepOf(snapshot(sessions), stale, before.mode), nowMs)

const two = [web(), web()]
const first = look(watched(), two)
const SUMMARY =
  /^00:00:00 UTC \d+ of 97 slots \(\d.* %\): \d+ idle, 0 active, 0 in transaction; would reap \d$/

test('one short line for a look, and one for each pool that changed', () => {
  const [summary = '', ...changes] = describeLook(watched(), first)
  expect(summary).toMatch(SUMMARY)
  expect(changes).toEqual(['  shop_app@shop web 10.0.1.7: 0 -> 2 sessions'])
  expect(describeLook(first, look(first, two))).toEqual([expect.stringMatching(SUMMARY)])
  const [, ...gone] = describeLook(first, look(first, [session({ application: 'cron' })]))
  expect(gone).toEqual([
    '  shop_app@shop web 10.0.1.7: 2 -> 0 sessions',
    '  shop_app@shop cron 10.0.1.7: 0 -> 1 sessions',
  ])
})

test('says once what it would reap, and what it reaped', () => {
  const old = [web(1_000), web(1_000)]
  const would = look(first, old)
  expect(describeLook(first, would)).toContain(
    '  would reap 2 by stale: shop_app@shop web 10.0.1.7',
  )
  expect(describeLook(would, look(would, old))).toHaveLength(1)
  const reaping = watched({ mode: 'reap' })
  expect(describeLook(reaping, look(reaping, old)).slice(0, 2)).toEqual([
    expect.stringMatching(/; reaped 2$/),
    '  reaped 2 by stale: shop_app@shop web 10.0.1.7',
  ])
})

test('names the reason of a loss once, and says when the server answers again', () => {
  const lost = lose(first, new SlotkeeperError('unreachable', 'db:5432 refuses'), 4_000)
  const still = lose(lost, new SlotkeeperError('unreachable', 'db:5432 refuses'), 6_000)
  expect(describeLook(first, lost)).toEqual(['00:00:04 UTC looks fail since then: db:5432 refuses'])
  expect(describeLook(lost, still)).toEqual(['00:00:04 UTC looks fail since then: unreachable'])
  expect(describeLook(still, look(still, two, 34_000))).toContain(
    '  looks succeed again, after 30s',
  )
})

test('lists at most ten changes', () => {
  const many = Array.from({ length: 14 }, (_, at) => session({ application: `app${at}` }))
  const lines = describeLook(first, look(first, many))
  expect(lines).toHaveLength(12)
  expect(lines.at(-1)).toBe('  and 5 more changes')
})

test('a warning stands there once', () => {
  const blind = (before: Picture) => see(before, sweepOf(snapshot(two, { maySignal: false })), 0)
  const warned = blind(watched())
  expect(describeLook(watched(), warned).join('\n')).toContain('WARNING: role reaper can')
  expect(describeLook(warned, blind(warned))).toHaveLength(1)
})

test('names from the server stay text', () => {
  const evil = session({ application: '\u001b[31m\u202e' })
  const text = describeLook(first, look(first, [evil])).join('')
  expect(text).toContain('\\u001b[31m\\u202e')
  expect(text).not.toContain('\u001b')
})
