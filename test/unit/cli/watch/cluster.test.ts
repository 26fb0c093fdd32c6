import { expect, test } from 'vitest'
import type { ClusterPicture, ClusterSight } from '../../../../cli/watch/cluster.ts'
import { type Controls, START } from '../../../../cli/watch/controls.ts'
import { clusterScene } from '../../../../cli/watch/scenes.ts'
import { widthOf } from '../../../../cli/watch/text.ts'
import { SlotkeeperError } from '../../../../lambda/errors.ts'
import type { TargetSweep } from '../../../../lambda/target.ts'
import { session, snapshot } from '../../../support/session.ts'
import { sweepOf, watched } from '../../../support/watched.ts'

const { begin, see, lose, view, press, lines, json, isClean } = clusterScene
const SMALL = { columns: 80, rows: 24, unicode: true }

const idle = (application: string, ageSeconds = 800) => session({ application, ageSeconds })
const swept = (id: string, ...sessions: ReturnType<typeof session>[]): ClusterSight[number] => ({
  id,
  isWriter: id === 'shop-1',
  counts: true,
  result: sweepOf(snapshot(sessions)) as TargetSweep,
})
const failed = (id: string, counts = true): ClusterSight[number] => ({
  id,
  isWriter: false,
  counts,
  result: new SlotkeeperError('unreachable', `${id} does not answer`),
})

const HOSTILE = ['\x1b[2J', '日本語アプリ', '\r\n\t', '👩‍👩‍👧‍👦'.repeat(9)]

const first = begin(watched())
const three = [swept('shop-1', idle('web')), swept('shop-2', idle('job', 1_000)), failed('shop-3')]
const seen = see(first, three, 1_000, 900)

const textOf = (picture: ClusterPicture, different: Partial<Controls> = {}, screen = SMALL) =>
  view(picture, { ...START, ...different }, screen, 1_000)
    .map((line) => line.map(({ text }) => text).join(''))
    .join('\n')

test('follows each instance by itself, and counts all of them', () => {
  expect(seen.totals).toEqual({ looks: 1, reaped: 1, refused: 0 })
  expect(seen.instances.map(({ picture }) => [picture.target, picture.lost?.sinceMs])).toEqual([
    ['db:5432/shop-1', undefined],
    ['db:5432/shop-2', undefined],
    ['db:5432/shop-3', 900],
  ])
  const back = see(seen, [...three.slice(0, 2), swept('shop-3', idle('new', 1_000))], 3_000, 2_900)
  expect(back.totals).toEqual({ looks: 2, reaped: 2, refused: 0 })
  expect(back.instances[2]?.picture.lost).toBeUndefined()
  // One that left was counted.
  expect(see(back, three.slice(0, 1), 5_000, 4_900).totals.reaped).toBe(2)
})

test('loses all instances if none can be looked at, and finds them again', () => {
  const error = new SlotkeeperError('unreachable', 'no list')
  const lost = lose(lose(seen, error, 3_000), error, 5_000)
  expect(lost.lost).toEqual({ sinceMs: 3_000, kind: 'unreachable', message: 'no list' })
  expect(lost.instances.map(({ picture }) => picture.lost?.sinceMs)).toEqual([3_000, 3_000, 900])
  expect(see(lost, three, 7_000, 6_900).lost).toBeUndefined()
})

test('shows the slots of all instances, and the pools of the chosen one', () => {
  const writer = textOf(seen)
  expect(writer).toMatch(/^observes db:5432 {2}/)
  expect(writer).toMatch(/^> shop-1 writer +\.+r+ 1 %: 1 of 97, 1 idle, 0 active$/m)
  expect(writer).toMatch(/^ {2}shop-2 reader +\.+r+ 1 %: /m)
  expect(writer).toMatch(/^ {2}shop-3 reader {2}LOOKS FAIL: unreachable$/m)
  expect(writer).toMatch(/^> +1 .* web /m)
  expect(writer).not.toContain(' job ')
  expect(writer).toContain('tab instance')
  expect(writer.split('\n')).toHaveLength(24)

  const reader = textOf(seen, { instance: 'shop-2' })
  expect(reader).toMatch(/^> shop-2 reader /m)
  expect(reader).toMatch(/^> +1 .* job /m)
  const third = textOf(seen, { instance: 'shop-3' })
  expect(third).toMatch(/tries again\. shop-3 does\s+not answer/)
  expect(textOf(seen, { instance: 'gone' })).toMatch(/^> shop-1 /m)
  expect(textOf(first)).toContain('Connecting to db:5432 …')
  expect(textOf(see(first, [failed('shop-9', false)], 0, 0))).toMatch(/shop-9 reader {2}is leaving/)
})

test('tab goes through the instances', () => {
  const tab = (controls: Controls) => press(controls, { name: 'tab' }, seen)
  const chosen = [1, 2, 3].reduce<Controls[]>(
    (all) => [...all, tab(all.at(-1) as Controls)],
    [{ ...START, scrolled: 3 }],
  )
  expect(chosen.slice(1).map(({ instance, scrolled }) => [instance, scrolled])).toEqual([
    ['shop-2', 0],
    ['shop-3', 0],
    ['shop-1', 0],
  ])
  expect(tab(START)).not.toBe(START)
  expect(press(START, { name: 'tab' }, first)).toBe(START)
  expect(press(START, { name: 'p' }, seen)).toMatchObject({ paused: true })
})

test('the chosen instance is shown among many, and the page below it too', () => {
  const ids = Array.from({ length: 16 }, (_, at) => `shop-${String.fromCharCode(97 + at)}`)
  const many = see(
    first,
    ids.map((id) => swept(id, idle('web'))),
    0,
    0,
  )
  for (const instance of ids) {
    const text = textOf(many, { instance })
    expect(text).toMatch(new RegExp(`^> ${instance} reader`, 'm'))
    expect(text).toMatch(/^> +1 .* web /m)
  }
})

test('no line is too wide, and none too many, on any screen', () => {
  const wild = see(first, [...three, swept('shop-4', ...HOSTILE.map((name) => idle(name)))], 0, 0)
  for (const columns of [1, 7, 20, 80]) {
    for (const rows of [1, 2, 5, 24]) {
      for (const instance of ['shop-1', 'shop-3', 'shop-4']) {
        const shown = view(wild, { ...START, instance }, { columns, rows, unicode: true }, 0)
        expect(shown.length).toBeLessThanOrEqual(rows)
        for (const line of shown) {
          expect(widthOf(line.map(({ text }) => text).join(''))).toBeLessThanOrEqual(columns)
        }
      }
    }
  }
})

test('without a terminal each line names its instance, and one that leaves is told', () => {
  const said = lines(first, seen)
  expect(said).toContainEqual(expect.stringMatching(/^shop-1 .* UTC 1 of 97 slots .*would reap 0$/))
  expect(said).toContain('shop-2   would reap 1 by stale: shop_app@shop job 10.0.1.7')
  expect(said).toContainEqual(
    expect.stringMatching(/^shop-3 .* looks fail since then: shop-3 does not answer$/),
  )
  const left = see(seen, three.slice(0, 1), 3_000, 2_900)
  expect(lines(seen, left).slice(-2)).toEqual([
    'shop-2 has left the cluster',
    'shop-3 has left the cluster',
  ])
})

test('--json has a line for each instance, and one for a list that is missing', () => {
  const all = json(seen).map((line) => JSON.parse(line))
  expect(all).toMatchObject([
    { target: 'db:5432', slots: {} },
    { target: 'db:5432', slots: {} },
    { target: 'db:5432/shop-3', error: { kind: 'unreachable', message: 'shop-3 does not answer' } },
  ])
  const lost = lose(seen, new SlotkeeperError('unreachable', 'no list'), 3_000)
  expect(json(lost).map((line) => JSON.parse(line))).toEqual([
    { target: 'db:5432', error: { kind: 'unreachable', message: 'no list' } },
  ])
})

test.each<[string, ClusterSight, boolean]>([
  ['all instances answer', three.slice(0, 2), true],
  ['one does not', three, false],
  ['one is leaving', [swept('shop-1'), failed('shop-2', false)], true],
])('whether it ends well: %s', (_, sight, expected) => {
  expect(isClean(see(first, sight, 0, 0))).toBe(expected)
})
