import type { Opinion, PolicyResult, ReplayReport } from '../../cli/replay/result.ts'
import type { Pool } from '../../lambda/core/pool.ts'
import { printable } from '../../lambda/core/text.ts'
import type { Script } from './frames.ts'

/** Names that would do something, if they were more than text. */
export const HOSTILE = [
  '</script><script>window.owned = true</script>',
  '<img src=x onerror="window.owned = true">',
  '<b>bold</b> & &lt;',
  '\'"><svg onload=window.owned=true>',
  'left \u202e thgir \u2066 \u2028 \u2029 \u200b',
  'nul \0 \u001b[2J \ud800',
  '<!-- <script>',
  'x'.repeat(5_000),
  '__proto__',
]
/** Clients of the page's tests: what there is to regret, to end, and to take for text. */
export const scripts: Script[] = [
  // Four that come back after about 16 minutes, and some that nobody uses again.
  ...[100, 160, 220, 280].map((first, index): Script => {
    const uses = [first, first + 1_000, first + 2_000, first + 3_000]
    return { pid: 10 + index, opens: 0, uses, is: { user: 'worker' } }
  }),
  ...[0, 300, 600, 900].map((opens, index): Script => ({ pid: 20 + index, opens, closes: 3_300 })),
  { pid: 30, opens: 0, uses: [[0, 9_000]], is: { application: 'batch', database: null } },
  ...HOSTILE.map(
    (application, index): Script => ({
      pid: 40 + index,
      opens: 60 * index,
      uses: [900 + 60 * index],
      is: { application, user: index % 2 === 0 ? application : null },
    }),
  ),
]

/** What a pool is called on the page. */
export const names = ({ user, database, application, client }: Pool) =>
  [`${user ?? '-'}@${database ?? '-'}`, application || '-', client || '-'].map(shown)

/** Text as the page shows it: nothing hides in it, and what is endless is cut. */
export function shown(text: string): string {
  const whole = printable(text)
  return whole.length > 400
    ? `${whole.slice(0, 400)}… (${whole.length.toLocaleString('en-US')} characters)`
    : whole
}

const FATES = { used: 'used again', ended: 'ended by itself, unused', undecided: 'undecided' }
const opinion = ({ reaps, why }: Opinion) => shown(`${reaps ? 'ends it' : 'leaves it'}: ${why}`)
const hourName = (hour: number) => `${String(hour).padStart(2, '0')}h`

/** Each table of the page by its heading, as the report has it. */
export function tablesOf({ pools, difference, policies }: ReplayReport): [string, unknown[][]][] {
  return [
    [
      'Pools',
      pools.map((pool) => [
        ...names(pool),
        pool.peakSessions,
        pool.peakBusy,
        pool.peakUsed,
        pool.meanBusy,
        pool.longestGapThatCameBackSeconds ?? -1,
        pool.safeOlderThanSeconds ?? -1,
        pool.frees.mean,
        pool.frees.atPeak,
        pool.gaps.used,
        pool.gaps.ended,
        pool.gaps.undecided,
      ]),
    ],
    ...(difference
      ? [
          [
            'Sessions that A, B or both would have ended',
            difference.sessions.map(({ pid, first, second, fate, ...pool }) => [
              pid,
              ...names(pool),
              first.reaps && second.reaps ? 'both' : first.reaps ? 'only A' : 'only B',
              FATES[fate],
              opinion(first),
              first.at,
              opinion(second),
              second.at,
            ]),
          ] as [string, unknown[][]],
        ]
      : []),
    ...policies.flatMap((policy, index) => policyTables(policy, 'AB'.charAt(index))),
  ]
}

function policyTables(policy: PolicyResult, letter: string): [string, unknown[][]][] {
  const { regrets, byPool, byRule, byHour } = policy
  return [
    [
      `Regrets of ${letter}: ended, but used again later`,
      regrets.map(({ pid, rule, at, idleSeconds, ...pool }) => [
        pid,
        ...names(pool),
        shown(rule),
        at,
        ...idleSeconds,
      ]),
    ],
    [
      `What ${letter} ends, by pool and rule`,
      byPool.map(({ rule, wouldReap, regretted, undecided, hours, ...pool }) => [
        ...names(pool),
        shown(rule),
        wouldReap,
        regretted,
        undecided,
        hours
          .map((reaps, hour) => (reaps > 0 ? `${hourName(hour)} ${reaps}` : ''))
          .filter(Boolean)
          .join(', '),
      ]),
    ],
    [
      `What ${letter} ends, by rule`,
      Object.entries(byRule).map(([rule, reaps]) => [shown(rule), reaps]),
    ],
    [
      `What ${letter} ends, by hour of the day`,
      byHour.map(({ hour, wouldReap, regretted, undecided }) => [
        hour,
        wouldReap,
        regretted,
        undecided,
      ]),
    ],
  ]
}

/** What a person reads in a cell of numbers, as a number again. */
export function readNumber(text: string): number {
  if (text === 'none seen') return -1
  if (/^\d\dh$/.test(text)) return Number(text.slice(0, 2))
  const units = { d: 86_400, h: 3_600, m: 60, s: 1, ms: 0.001 }
  const parts = [...text.matchAll(/([\d.]+)(ms|[dhms])( |$)/g)]
  if (parts.length === 0) return Number(text.replaceAll(',', ''))
  const seconds = parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units],
    0,
  )
  return Math.round(seconds * 1000) / 1000
}
