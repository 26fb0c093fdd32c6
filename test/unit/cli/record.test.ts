import { expect, test } from 'vitest'
import { count, type Look, type Tally } from '../../../cli/record/tally.ts'
import { tellChange, tellEnd, tellStart, tellStatus } from '../../../cli/record/words.ts'
import { SlotkeeperError } from '../../../lambda/errors.ts'

const look = (seconds: number, sessions = 40, bytes = 2_000): Look => ({
  atMs: seconds * 1000,
  sessions,
  bytes,
})
const failed = (seconds: number): Look => ({ atMs: seconds * 1000 })
const after = (...looks: Look[]) => looks.reduce<Tally | undefined>(count, undefined) as Tally

test.each<[string, Look[], Partial<Tally>]>([
  ['one snapshot', [look(0)], { snapshots: 1, bytes: 2_000, sessions: [40, 40], failed: 0 }],
  [
    'two snapshots',
    [look(0, 40), look(10, 52)],
    { snapshots: 2, bytes: 4_000, sessions: [40, 52] },
  ],
  ['a failed look', [look(0), failed(10)], { snapshots: 1, failed: 1, isLost: true, lastMs: 0 }],
  [
    'a gap',
    [look(0), look(10), failed(20), failed(35), look(45), look(55)],
    { snapshots: 4, failed: 2, isLost: false, longestGapMs: 35_000 },
  ],
  [
    'two gaps',
    [look(0), failed(10), look(90), failed(100), look(110)],
    { failed: 2, longestGapMs: 90_000 },
  ],
])('%s', (_, looks, expected) => {
  expect(after(...looks)).toMatchObject(expected)
})

const lost = new SlotkeeperError('unreachable', 'db:5432 did not answer.')
test.each<[string, Look[], SlotkeeperError | undefined, string | undefined]>([
  ['the first snapshot', [], undefined, undefined],
  ['another snapshot', [look(0)], undefined, undefined],
  [
    'the first failure',
    [look(0)],
    lost,
    'no snapshot: db:5432 did not answer. The recording has a gap until a later look succeeds.',
  ],
  ['another failure', [look(0), failed(10)], lost, undefined],
  [
    'a failure at the first look',
    [],
    lost,
    'no snapshot: db:5432 did not answer. The recording has a gap until a later look succeeds.',
  ],
  [
    'a snapshot after failures',
    [look(10), failed(20), failed(30)],
    undefined,
    'snapshots again, after a gap of 50s',
  ],
])('what is said after %s', (_, looks, failure, said) => {
  const before = looks.length === 0 ? undefined : after(...looks)
  expect(tellChange(before, 60_000, failure)).toBe(said)
})

test.each<[Look[], number, string]>([
  [[look(0)], 600_000, '0s of 10m: 1 snapshot, 2.0 kB'],
  [[look(0), look(90)], Number.POSITIVE_INFINITY, '1m 30s: 2 snapshots, 4.0 kB'],
  [[look(0), failed(70)], 600_000, '1m 10s of 10m: 1 snapshot, 2.0 kB, no answer for 1m 10s'],
])('the progress after %j', (looks, forMs, said) => {
  expect(tellStatus([after(...looks)], forMs)).toBe(said)
})

test('the progress of several instances', () => {
  const left = after(look(0), failed(10))
  const all = [left, after(look(0), look(70)), after(look(0), failed(70)), after(failed(70))]
  expect(tellStatus(all, 600_000)).toBe(
    '1m 10s of 10m: 4 snapshots, 8.0 kB, no answer from 2 of 3 instances for 1m 10s',
  )
})

test('the end for one of several instances', () => {
  const one = { target: 'db/shop-2', out: 'a.jsonl', pick: true }
  expect(tellEnd(after(look(0)), one)).toBe(
    'recorded 1 snapshot of db/shop-2 in 0s, with 40 sessions each: 2.0 kB in a.jsonl. Next: slotkeeper replay a.jsonl --target db/shop-2 --policy POLICY.json',
  )
  expect(tellEnd(after(failed(0), failed(10)), one)).toBe(
    'recorded no snapshot of db/shop-2. 2 looks failed; the longest gap is 10s.',
  )
})

test.each<[number, string, string]>([
  [600_000, 'a.jsonl', 'recording db:5432 every 10s for 10m, to a.jsonl'],
  [Number.POSITIVE_INFINITY, '-', 'recording db:5432 every 10s until Ctrl-C, to standard output'],
])('the start for %d ms to %s', (forMs, out, said) => {
  expect(tellStart('db:5432', { everyMs: 10_000, forMs, out })).toBe(said)
})

test.each<[Look[], string, string]>([
  [
    [look(0, 1, 900)],
    '-',
    'recorded 1 snapshot of db in 0s, with 1 session each: 900 B in standard output.',
  ],
  [
    [look(0, 48), look(10, 97, 2_345_000)],
    'a.jsonl',
    'recorded 2 snapshots of db in 10s, with 48 to 97 sessions each: 2.3 MB in a.jsonl. Next: slotkeeper replay a.jsonl --policy POLICY.json',
  ],
  [
    [look(0), failed(10), look(50), failed(60)],
    '-',
    'recorded 2 snapshots of db in 1m, with 40 sessions each: 4.0 kB in standard output. 2 looks failed; the longest gap is 50s.',
  ],
  [
    [look(0), failed(70)],
    '-',
    'recorded 1 snapshot of db in 1m 10s, with 40 sessions each: 2.0 kB in standard output. 1 look failed; the longest gap is 1m 10s.',
  ],
])('the end after %j', (looks, out, said) => {
  expect(tellEnd(after(...looks), { target: 'db', out })).toBe(said)
})
