import { compileMatch, type Match } from '../../lambda/core/match.ts'
import { type Parsed, parsed, refused } from '../../lambda/core/parsed.ts'
import { parsePolicy, type WrittenPolicy } from '../../lambda/core/policy.ts'
import type { Session } from '../../lambda/core/session.ts'
import { asDuration } from './ladder.ts'
import type { Histogram, PoolResult, Replay, ReplayReport } from './result.ts'
import { ageUp } from './rounding.ts'

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
    const named = nameable(match, pools, report.server.version)
    if (!named.ok) {
      leftOut.push([`${nameOf(match)}: no policy can name it`, ...named.problems].join('; '))
      continue
    }
    const { selected } = named.value
    const key = JSON.stringify(named.value.match)
    if (rules.some((rule) => JSON.stringify(rule.match) === key)) continue
    const rule = ruleFor(uniqueName(match, rules), named.value.match, selected, histograms.edges)
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
            users: [narrow(user)],
            ...(database !== null && { databases: [narrow(database)] }),
            ...(application !== '' && { applications: [narrow(application)] }),
          },
        ],
  )
  return [...new Map(matches.map((match) => [JSON.stringify(match), match])).values()]
}

/** A client can name itself `*`. Its rule must not be for all others too. */
const narrow = (name: string) => name.replaceAll('*', '?')

/**
 * The match, and the pools that it selects. If the policy's reader does not take a name as it is, or reads it as
 * another one, the name gets `?` in place of its unusual characters. Problems say why even that selects no pool.
 */
function nameable(
  match: Match,
  pools: Pool[],
  serverVersion: number,
): Parsed<{ match: Match; selected: Pool[] }> {
  const { applications, ...others } = match
  let problems: string[] = []
  // Any client chooses its application name; the names of roles and databases are seldom unusual.
  for (const attempt of [match, { ...others, ...wild({ applications }) }, wild(match)]) {
    problems = problemsOf({ name: 'a', match: attempt, state: 'idle', olderThan: '1m' })
    const selected = problems.length > 0 ? [] : select(pools, attempt, serverVersion)
    if (selected.length > 0) return parsed({ match: attempt, selected })
  }
  return refused(...problems)
}

const UNUSUAL = /[^\w .:/@-]/gu

function wild(match: Match): Match {
  return Object.fromEntries(
    Object.entries(match).map(([field, names]) => [
      field,
      names?.map((name) => name.replace(UNUSUAL, '?')),
    ]),
  )
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
  const seconds = Math.max(
    ...selected.map(({ safeOlderThanSeconds }) => safeOlderThanSeconds ?? Number.POSITIVE_INFINITY),
  )
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
      : `the longest of ${counted(cameBack, 'gap')} that came back took at most ${ageUp(longest)}`
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
  return `Made from a recording of ${target}, ${from} to ${to}: ${counted(snapshots, 'snapshot')}, ${everySeconds} s apart. Each olderThan is the longest time after which a session was used again, rounded up. What is rarer than this recording is long is not in it.`
}
