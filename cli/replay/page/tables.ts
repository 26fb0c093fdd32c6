import type { Pool } from '../../../lambda/core/pool.ts'
import type {
  Different,
  Fate,
  Opinion,
  Point,
  PolicyResult,
  PoolResult,
  Regret,
} from '../result.ts'
import type { Bar } from './bars.ts'
import type { Cell, Column } from './data-table.ts'
import { duration, hourName, letter, number, poolNames, second, visible } from './format.ts'

export const FATES: Record<Fate, string> = {
  used: 'used again',
  ended: 'ended by itself, unused',
  undecided: 'undecided',
}

/** A text that is visible as it is. */
const name = (value: string): Cell => ({ text: value, value, kind: 'text' })
const text = (value: string): Cell => ({ text: visible(value), value, kind: 'text' })
const count = (value: number): Cell => ({ text: number(value), value, kind: 'number' })
/** The pid of a session is no amount. */
const pid = (value: number): Cell => ({ text: String(value), value, kind: 'number' })
const time = (iso: string): Cell => ({ text: second(iso), value: iso, kind: 'time' })
const seconds = (value: number | null): Cell =>
  value === null
    ? { text: 'none seen', value: -1, kind: 'number' }
    : { text: duration(value), value, kind: 'number' }
const age = (written: string | null, value: number | null): Cell => ({
  text: written ?? 'not known',
  value: value ?? -1,
  kind: 'number',
})

const POOL = ['user@database', 'application', 'client'].map(
  (head, index): Column<Pool> => ({ head, cell: (pool) => name(poolNames(pool)[index] ?? '') }),
)

export const POOLS: Column<PoolResult>[] = [
  ...POOL,
  { head: 'sessions at most', cell: ({ peakSessions }) => count(peakSessions) },
  { head: 'busy at once', cell: ({ peakBusy }) => count(peakBusy) },
  { head: 'used at once, at most', cell: ({ peakUsed }) => count(peakUsed) },
  { head: 'busy on average', cell: ({ meanBusy }) => count(meanBusy) },
  {
    head: 'longest gap that came back',
    cell: ({ longestGapThatCameBackSeconds }) => seconds(longestGapThatCameBackSeconds),
  },
  {
    head: 'safe olderThan',
    cell: ({ safeOlderThan, safeOlderThanSeconds }) => age(safeOlderThan, safeOlderThanSeconds),
  },
  { head: 'slots it frees on average', cell: ({ frees }) => count(frees.mean) },
  { head: 'slots it frees at the peak', cell: ({ frees }) => count(frees.atPeak) },
  { head: 'gaps used again', cell: ({ gaps }) => count(gaps.used) },
  { head: 'gaps ended unused', cell: ({ gaps }) => count(gaps.ended) },
  { head: 'gaps undecided', cell: ({ gaps }) => count(gaps.undecided) },
]

export const REGRETS: Column<Regret>[] = [
  { head: 'pid', cell: (regret) => pid(regret.pid) },
  ...POOL,
  { head: 'rule', cell: ({ rule }) => text(rule) },
  { head: 'would end (UTC)', cell: ({ at }) => time(at) },
  { head: 'idle until used, at least', cell: ({ idleSeconds }) => seconds(idleSeconds[0]) },
  { head: 'idle until used, at most', cell: ({ idleSeconds }) => seconds(idleSeconds[1]) },
]

export const BY_POOL: Column<PolicyResult['byPool'][number]>[] = [
  ...POOL,
  { head: 'rule', cell: ({ rule }) => text(rule) },
  { head: 'would end', cell: ({ wouldReap }) => count(wouldReap) },
  { head: 'regretted', cell: ({ regretted }) => count(regretted) },
  { head: 'undecided', cell: ({ undecided }) => count(undecided) },
  { head: 'by hour (UTC)', cell: ({ hours }) => text(hoursOf(hours)) },
]

const hoursOf = (hours: number[]) =>
  hours.flatMap((reaps, hour) => (reaps > 0 ? [`${hourName(hour)} ${reaps}`] : [])).join(', ')

export const BY_RULE: Column<[rule: string, reaps: number]>[] = [
  { head: 'rule', cell: ([rule]) => text(rule) },
  { head: 'would end', cell: ([, reaps]) => count(reaps) },
]

export const BY_HOUR: Column<PolicyResult['byHour'][number]>[] = [
  { head: 'hour (UTC)', cell: ({ hour }) => age(hourName(hour), hour) },
  { head: 'would end', cell: ({ wouldReap }) => count(wouldReap) },
  { head: 'regretted', cell: ({ regretted }) => count(regretted) },
  { head: 'undecided', cell: ({ undecided }) => count(undecided) },
]

export const DIFFERENT: Column<Different>[] = [
  { head: 'pid', cell: (session) => pid(session.pid) },
  ...POOL,
  { head: 'ended by', cell: ({ first, second: other }) => text(endedBy(first, other)) },
  { head: 'then', cell: ({ fate }) => text(FATES[fate]) },
  { head: 'A says', cell: ({ first }) => text(opinion(first)) },
  { head: 'A at (UTC)', cell: ({ first }) => time(first.at) },
  { head: 'B says', cell: ({ second: other }) => text(opinion(other)) },
  { head: 'B at (UTC)', cell: ({ second: other }) => time(other.at) },
]

const endedBy = (first: Opinion, second: Opinion) =>
  first.reaps && second.reaps ? 'both' : first.reaps ? 'only A' : 'only B'

const opinion = ({ reaps, why }: Opinion) => `${reaps ? 'ends it' : 'leaves it'}: ${why}`

/** The numbers of the picture of slots over time. */
export function pointColumns(policies: number): Column<Point>[] {
  const places = Array.from({ length: policies }, (_, index) => index)
  return [
    { head: 'from (UTC)', cell: ({ atMs }) => time(new Date(atMs).toISOString()) },
    { head: 'slots for ordinary roles', cell: ({ usable }) => count(usable) },
    { head: 'used as recorded', cell: ({ used }) => count(used) },
    ...places.flatMap((index): Column<Point>[] => [
      {
        head: `used with ${letter(index)}`,
        cell: (point) => count(point.policies[index]?.used ?? 0),
      },
      { head: `${letter(index)} ends`, cell: (point) => count(point.policies[index]?.reaps ?? 0) },
      {
        head: `${letter(index)} regrets`,
        cell: (point) => count(point.policies[index]?.regrets ?? 0),
      },
    ]),
  ]
}

/** The numbers of the picture of a pool's gaps. */
export const BARS: Column<Bar>[] = [
  { head: 'idle from', cell: ({ from }) => seconds(from) },
  {
    head: 'to less than',
    cell: ({ to }) => (to === undefined ? age('no limit', 9e9) : seconds(to)),
  },
  { head: 'used again', cell: ({ used }) => count(used) },
  { head: 'ended unused', cell: ({ ended }) => count(ended) },
  { head: 'undecided', cell: ({ undecided }) => count(undecided) },
]
