import { poolOf } from '../../lambda/core/pool.ts'
import { printable } from '../../lambda/core/text.ts'
import { groupBy } from '../group.ts'
import { age, paint, table } from '../show.ts'
import { POOL_HEAD, poolCells } from '../show-causes.ts'
import type {
  Difference,
  Different,
  Opinion,
  PolicyResult,
  PoolResult,
  ReplayReport,
} from './result.ts'
import { ageUp } from './rounding.ts'

/** So many lines of each list. `--json` has all of them. */
const MOST_LINES = 8
const MOST_REGRETS = 5

/** For an engineer who asks whether a policy may reap: first what it would have ended wrongly. */
export function showReplay(report: ReplayReport): string {
  return [
    ...showHeadline(report),
    ...showPolicies(report),
    ...report.policies.flatMap(showRegrets),
    ...report.policies.flatMap(showReaps),
    ...(report.difference ? showDifference(report.difference, report.policies) : []),
    ...showPools(report.pools),
    ...showCaveats(report.caveats),
  ].join('\n')
}

function showHeadline({ target, from, to, snapshots, everySeconds, gaps, policies }: ReplayReport) {
  const apart = snapshots > 1 ? `, ${interval(everySeconds)} apart` : ''
  return [
    `${printable(target)}, ${minute(from)} to ${minute(to)} UTC: ${counted(snapshots, 'snapshot')}${apart}, ${counted(gaps, 'idle gap')}`,
    ...policies.map((policy) => {
      const { name, wouldReap, regretted, undecided } = policy
      const verdict = `${printable(name)} would have ended ${counted(wouldReap, 'session')}: ${grouped(regretted)} used again later (regretted), ${grouped(undecided)} undecided, ${grouped(wouldReap - regretted - undecided)} never used again`
      return paint(['bold', regretted > 0 ? 'red' : 'green'], verdict)
    }),
    ...(policies.length === 0
      ? ['No policy was replayed. To replay one, add: --policy FILE. To get one, add: --suggest']
      : []),
  ]
}

function showPolicies({ policies }: ReplayReport): string[] {
  const [first] = policies
  if (!first) return []
  const occupancy = (name: string, which: 'recorded' | 'replayed', policy: PolicyResult) => [
    name,
    `${policy.peakUsedPercent[which]} %`,
    `${policy.meanUsedPercent[which]} %`,
    String(policy.fullMinutes[which]),
  ]
  return [
    '',
    table(
      ['slots used', '>at most', '>on average', '>full minutes'],
      [
        occupancy('as recorded', 'recorded', first),
        ...policies.map((policy) => occupancy(`with ${policy.name}`, 'replayed', policy)),
      ],
    ),
  ]
}

/** The longest idle ones first: their bounds say which age would have spared them. */
function showRegrets({ name, regrets, regretted }: PolicyResult): string[] {
  if (regrets.length === 0) return []
  const longest = [...regrets].sort((a, b) => b.idleSeconds[1] - a.idleSeconds[1])
  return [
    '',
    paint(
      'red',
      `Used again after ${printable(name)} would have ended them, the longest idle first`,
    ),
    table(
      ['>pid', 'rule', 'would end (UTC)', 'idle until used', ...POOL_HEAD],
      longest
        .slice(0, MOST_REGRETS)
        .map(({ pid, rule, at, idleSeconds: [least, most], ...pool }) => [
          String(pid),
          rule,
          second(at),
          `${interval(least)} to ${atMost(most)}`,
          ...poolCells(pool),
        ]),
    ),
    ...more(regretted, 'regrets', MOST_REGRETS),
  ]
}

function showReaps({ name, byPool, byHour }: PolicyResult): string[] {
  if (byPool.length === 0) return []
  const regrets = (count: number) => (count > 0 ? ` (${count} regretted)` : '')
  return [
    '',
    paint('bold', `What ${printable(name)} would have ended`),
    table(
      ['>sessions', '>regretted', '>undecided', 'rule', 'most at (UTC)', ...POOL_HEAD],
      byPool
        .slice(0, MOST_LINES)
        .map(({ rule, wouldReap, regretted, undecided, hours, ...pool }) => [
          String(wouldReap),
          String(regretted),
          String(undecided),
          rule,
          `${hourName(hours.indexOf(Math.max(...hours)))}: ${Math.max(...hours)}`,
          ...poolCells(pool),
        ]),
    ),
    ...more(byPool.length, 'pools'),
    `By hour (UTC): ${byHour.map(({ hour, wouldReap, regretted }) => `${hourName(hour)} ${wouldReap}${regrets(regretted)}`).join(', ')}`,
  ]
}

function showDifference(
  { both, onlyFirst, onlySecond, sessions }: Difference,
  [first, second]: PolicyResult[],
): string[] {
  const names = [first?.name ?? '', second?.name ?? ''].map(printable)
  const groups = groupBy(
    sessions.filter(isDifferent),
    (one) => `${poolOf(one)}\0${one.first.reaps}`,
  )
  const rows = groups
    .map(([, members]) => ({ members, regretted: members.filter(isUsed).length }))
    .sort((a, b) => b.regretted - a.regretted || b.members.length - a.members.length)
  return [
    '',
    paint(
      'bold',
      `Both would have ended ${grouped(both)}; only ${names[0]} ${grouped(onlyFirst)}; only ${names[1]} ${grouped(onlySecond)}`,
    ),
    ...(rows.length === 0
      ? []
      : [
          table(
            ['>sessions', '>regretted', `${names[0]}, of one`, `${names[1]}, of one`, ...POOL_HEAD],
            rows
              .slice(0, MOST_LINES)
              .map(({ members, regretted }) => [
                String(members.length),
                String(regretted),
                opinion(members[0].first),
                opinion(members[0].second),
                ...poolCells(members[0]),
              ]),
          ),
          ...more(rows.length, 'pools'),
        ]),
  ]
}

const isDifferent = ({ first, second }: Different) => first.reaps !== second.reaps
const isUsed = ({ fate }: Different) => fate === 'used'
const opinion = ({ reaps, why }: Opinion) => `${reaps ? 'ends it' : 'leaves it'}: ${why}`

function showPools(pools: PoolResult[]): string[] {
  return [
    '',
    paint('bold', 'What each pool needs'),
    table(
      [
        '>sessions',
        '>busy at once',
        '>on average',
        '>longest gap that came back',
        '>safe olderThan',
        '>frees on average',
        '>at the peak',
        ...POOL_HEAD,
      ],
      pools
        .slice(0, MOST_LINES)
        .map((pool) => [
          String(pool.peakSessions),
          pool.peakUsed > pool.peakBusy
            ? `${pool.peakBusy} to ${pool.peakUsed}`
            : String(pool.peakBusy),
          String(pool.meanBusy),
          pool.longestGapThatCameBackSeconds === null
            ? 'none seen'
            : atMost(pool.longestGapThatCameBackSeconds),
          pool.safeOlderThan ?? 'not known',
          String(pool.frees.mean),
          String(pool.frees.atPeak),
          ...poolCells(pool),
        ]),
    ),
    ...more(pools.length, 'pools'),
    '"busy at once": at least as many as were seen busy in one snapshot, at most as many as were used between two.',
  ]
}

function showCaveats(caveats: string[]): string[] {
  return [
    '',
    paint('bold', 'What this recording does not show'),
    ...caveats.map((text) => `- ${text}`),
  ]
}

function more(count: number, what: string, most = MOST_LINES): string[] {
  return count > most ? [`and ${count - most} more ${what} (--json lists them)`] : []
}

const minute = (iso: string) => iso.slice(0, 16).replace('T', ' ')
const second = (iso: string) => iso.slice(0, 19).replace('T', ' ')
const hourName = (hour: number) => `${String(hour).padStart(2, '0')}h`
const interval = (seconds: number) => (seconds < 10 ? `${seconds} s` : age(seconds))
const atMost = (seconds: number) => (seconds < 10 ? `${seconds} s` : ageUp(seconds))
const grouped = (count: number) => count.toLocaleString('en-US')
const counted = (count: number, what: string) =>
  `${grouped(count)} ${what}${count === 1 ? '' : 's'}`
