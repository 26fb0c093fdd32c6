import { expect, test } from 'vitest'
import { type Controls, press, START, selection } from '../../../../cli/watch/controls.ts'
import { see } from '../../../../cli/watch/picture.ts'
import type { PoolRow } from '../../../../cli/watch/pools.ts'
import { session, snapshot } from '../../../support/session.ts'
import { sweepOf, watched } from '../../../support/watched.ts'

const names = ['a', 'a', 'a', 'b', 'b', 'c']
const rows: PoolRow[] =
  see(watched(), sweepOf(snapshot(names.map((application) => session({ application })))), 0).sight
    ?.pools ?? []

const pressAll = (keys: string[], pools = rows) =>
  keys.reduce(
    (controls, key) => press(controls, key === '?' ? { sequence: key } : { name: key }, pools),
    START,
  )
const chosen = (controls: Controls, pools = rows) => {
  const { sorted, index } = selection(pools, controls)
  return sorted[index]?.pool.application
}

test.each<[keys: string[], page: Controls['page'], pool: string]>([
  [[], 'pools', 'a'],
  [['down'], 'pools', 'b'],
  [['down', 'down', 'down'], 'pools', 'c'],
  [['end', 'up'], 'pools', 'b'],
  [['down', 'up', 'up'], 'pools', 'a'],
  [['down', 'return'], 'sessions', 'b'],
  [['down', 'return', 'escape'], 'pools', 'b'],
  [['j', 'right', 'left'], 'pools', 'b'],
  [['h'], 'help', 'a'],
  [['?'], 'help', 'a'],
  [['h', 'h'], 'pools', 'a'],
  [['h', 'escape'], 'pools', 'a'],
  [['x', 'tab', 'f1'], 'pools', 'a'],
])('%j shows %s with %s', (keys, page, pool) => {
  const controls = pressAll(keys)
  expect(controls.page).toBe(page)
  expect(chosen(controls)).toBe(pool)
})

test('the chosen pool stays chosen in another order, and when it is gone the first one is', () => {
  const controls = pressAll(['down', 's', 's'])
  expect(controls.sort).toBe('oldest')
  expect(chosen(controls)).toBe('b')
  expect(
    chosen(
      controls,
      rows.filter(({ pool }) => pool.application !== 'b'),
    ),
  ).toBe('a')
})

test('each order comes back after all the others', () => {
  expect(pressAll(['s', 's', 's', 's', 's']).sort).toBe('sessions')
})

test('p pauses and goes on', () => {
  expect(pressAll(['p']).paused).toBe(true)
  expect(pressAll(['p', 'p']).paused).toBe(false)
})

test('the sessions scroll between the first and the last', () => {
  expect(pressAll(['return', 'down', 'down', 'down', 'down']).scrolled).toBe(2)
  expect(pressAll(['return', 'pagedown', 'up', 'up', 'up']).scrolled).toBe(0)
})

test('without a pool, no key fails', () => {
  for (const key of ['up', 'down', 'return', 'end', 's', 'h', 'escape']) {
    expect(chosen(pressAll([key], []), [])).toBeUndefined()
  }
})
