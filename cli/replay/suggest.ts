import { compileMatch, type Match } from '../../lambda/core/match.ts'
import { parsePolicy, type WrittenPolicy } from '../../lambda/core/policy.ts'
import type { Session } from '../../lambda/core/session.ts'
import { age } from '../show.ts'
import { asDuration } from './ladder.ts'
import type { Histogram, PoolResult, Replay, ReplayReport } from './result.ts'

type WrittenRule = WrittenPolicy['rules'][number]

/** A pool, and its gaps by their length. */
type Pool = PoolResult & { histogram: Histogram }

export type Suggestion = {
  /** Undefined if no rule is worth it. */
  policy: WrittenPolicy | undefined
  /** Pools that would need a rule, but that no policy can name, in words. */
  leftOut: string[]
}

/**
 * Makes a policy from what a recording shows: for each application in which sessions stay idle for longer than any
 * that came back, a rule with the smallest safe age. Replayed on the same recording it has no regret.
 */
export function suggest({ report, pictures: { histograms } }: Replay): Suggestion {
  const pools: Pool[] = report.pools.map((pool, index) => ({
    ...pool,
    histogram: histograms.pools[index] as Histogram,
  }))
  const leftOut: string[] = []
  const rules: WrittenRule[] = []
  for (const match of matchesFor(pools.filter(({ frees }) => frees.mean > 0))) {
    const name = uniqueName(match, rules)
    const problems = problemsOf({ name, match, state: 'idle', olderThan: '1m' })
    const selected = problems.length > 0 ? [] : select(pools, match, report.server.version)
    if (selected.length === 0) {
      leftOut.push([`${nameOf(match)}: no policy can name it`, ...problems].join('; '))
      continue
    }
    const rule = ruleFor(name, match, selected, histograms.edges)
    if (rule !== undefined) rules.push(rule)
  }
  const users = [...new Set(rules.flatMap(({ match }) => match?.users ?? []))]
  const policy = { $comment: describe(report), scope: { users }, rules }
  return { policy: rules.length > 0 ? policy : undefined, leftOut }
}

/**
 * A match for each application of a role in a database, wherever it runs: its addresses come and go. No policy can
 * name an application that has no name, so the match is then for the whole role in that database.
 */
function matchesFor(pools: Pool[]): Match[] {
  const matches = pools.flatMap(({ user, database, application }): Match[] =>
    user === null
      ? []
      : [
          {
            users: [user],
            ...(database !== null && { databases: [database] }),
            ...(application !== '' && { applications: [application] }),
          },
        ],
  )
  return [...new Map(matches.map((match) => [JSON.stringify(match), match])).values()]
}

function select(pools: Pool[], match: Match, serverVersion: number): Pool[] {
  const matches = compileMatch(match, serverVersion)
  // A match looks at the fields of a pool only.
  return pools.filter((pool) => matches(pool as unknown as Session))
}

/** A rule that is safe for every pool that its match selects; undefined if it would end no session. */
function ruleFor(
  name: string,
  match: Match,
  selected: Pool[],
  edges: readonly number[],
): WrittenRule | undefined {
  const seconds = Math.max(...selected.map((pool) => pool.safeOlderThanSeconds))
  const cameBack = selected.reduce((sum, { gaps }) => sum + gaps.used, 0)
  const longest = Math.max(...selected.map((pool) => pool.longestGapThatCameBackSeconds ?? 0))
  const reaps = selected.reduce(
    (sum, { histogram }) => sum + longerThan(histogram, seconds, edges),
    0,
  )
  if (reaps === 0) return undefined
  const evidence =
    cameBack === 0
      ? 'no session was seen to come back, so it is the time between two snapshots'
      : `the longest of ${counted(cameBack, 'gap')} that came back took at most ${age(Math.ceil(longest))}`
  return {
    name,
    match,
    state: 'idle',
    olderThan: asDuration(seconds),
    $comment: `olderThan: ${evidence}; rounded up. ${counted(reaps, 'gap')} took longer and did not come back.`,
  }
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`

/** The number of gaps in which no session came back before it had been idle for so long. */
function longerThan({ ended, undecided }: Histogram, seconds: number, edges: readonly number[]) {
  const count = (gaps: number[]) =>
    gaps.reduce((sum, gap, bin) => sum + ((edges[bin] ?? 0) >= seconds ? gap : 0), 0)
  return count(ended) + count(undecided)
}

function uniqueName({ applications, users }: Match, rules: WrittenRule[]): string {
  const taken = new Set(rules.map((rule) => rule.name))
  const name = `idle ${applications?.[0] ?? users?.[0]}`
  let unique = name
  for (let number = 2; taken.has(unique); number += 1) unique = `${name} (${number})`
  return unique
}

/** Why the policy's own reader would not take the rule, or the scope that it belongs to. */
function problemsOf(rule: WrittenRule): string[] {
  const parsed = parsePolicy({ scope: { users: rule.match?.users ?? [] }, rules: [rule] })
  return parsed.ok ? [] : parsed.problems
}

const nameOf = ({ users, databases, applications }: Match) =>
  `${users}@${databases ?? ''}, application ${applications ?? '(none)'}`

function describe({ target, from, to, snapshots, everySeconds }: ReplayReport): string {
  return `Made from a recording of ${target}, ${from} to ${to}: ${snapshots} snapshots, ${everySeconds} s apart. Each olderThan is the longest time after which a session was used again, rounded up. What is rarer than this recording is long is not in it.`
}
