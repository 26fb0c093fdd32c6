import { expect, test } from 'vitest'
import { MOST_POINTS } from '../../../../cli/replay/result.ts'
import { createSeries } from '../../../../cli/replay/series.ts'

const MINUTE_MS = 60_000
const START = 1_767_225_600_000

const point = (minute: number) => ({
  atMs: START + minute * MINUTE_MS,
  usable: 97,
  used: minute % 50,
  policies: [{ used: minute % 7, reaps: 1, regrets: 0 }],
})

test('a short recording keeps each snapshot', () => {
  const series = createSeries()
  for (let minute = 0; minute < MOST_POINTS; minute += 1) series.add(point(minute))
  expect(series.result()).toMatchObject({ widthMs: 0 })
  expect(series.result().points).toHaveLength(MOST_POINTS)
  expect(series.result().points[77]).toEqual(point(77))
})

test.each([1, 7, 30, 90])('%s days of minutes stay few points, and lose no reap', (days) => {
  const series = createSeries()
  const minutes = days * 1_440 + 1
  for (let minute = 0; minute < minutes; minute += 1) {
    series.add(point(minute))
    // An hour later it shows that each tenth was used again.
    if (minute % 10 === 0 && minute >= 60) series.regret(0, point(minute - 60).atMs)
  }
  const { points, widthMs } = series.result()
  expect(points.length).toBeLessThanOrEqual(MOST_POINTS)
  expect(points.length).toBeGreaterThan(MOST_POINTS / 4)
  const sum = (key: 'reaps' | 'regrets') =>
    points.reduce((total, { policies }) => total + (policies[0]?.[key] ?? 0), 0)
  expect(sum('reaps')).toBe(minutes)
  expect(sum('regrets')).toBe(days * 144 - 5)
  expect(Math.max(...points.map(({ used }) => used))).toBe(49)
  for (const [index, { atMs }] of points.entries()) {
    const next = points[index + 1]
    if (next) expect(Math.floor(next.atMs / widthMs)).toBeGreaterThan(Math.floor(atMs / widthMs))
  }
})

test('a regret is counted where the session would have been ended', () => {
  const series = createSeries()
  for (const minute of [0, 1, 2, 600, 601]) series.add(point(minute))
  series.regret(0, point(2).atMs)
  series.regret(0, point(600).atMs)
  series.regret(0, point(600).atMs)
  expect(series.result().points.map(({ policies }) => policies[0]?.regrets)).toEqual([
    0, 0, 1, 2, 0,
  ])
})
