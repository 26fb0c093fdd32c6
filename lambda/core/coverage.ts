import { findDue } from './judge.ts'
import { compileMatch, type Match } from './match.ts'
import type { Policy, Rule } from './policy.ts'
import { ORPHAN_RULE } from './protection.ts'
import { writePath } from './schema.ts'
import type { Session, Snapshot } from './session.ts'
import { compileMatches } from './standing.ts'
import type { Verdict } from './verdict.ts'

/** What one rule matched in one sweep. */
export type RuleCoverage = {
  name: string
  /**
   * Sessions in scope that satisfy its `match`, `state` and `olderThan`, whether they are protected or not.
   */
  matched: number
  /** Whether its `when` held; true if it has none. */
  due: boolean
}

/** What the policy matched on the server. The sweep's own session does not count. */
export type Coverage = {
  /** Sessions in the policy's scope. */
  inScope: number
  /** The policy's rules in their order, then the built-in rule. */
  rules: RuleCoverage[]
  /** Paths of the policy that match no session, such as `scope.users[0]` or `protect[1]`. */
  unmatched: string[]
}

const FIELDS = ['databases', 'users', 'applications', 'clients'] as const
type Field = (typeof FIELDS)[number]

const VALUE = {
  databases: 'database',
  users: 'user',
  applications: 'application',
  clients: 'client',
} as const satisfies Record<Field, keyof Session>

/**
 * Reports what the policy matched. This reveals a scope, a protection or a rule that matches no session.
 * @param verdicts what `judge` says of this snapshot by this policy
 */
export function cover(snapshot: Snapshot, policy: Policy, verdicts: Verdict[]): Coverage {
  const standingOf = compileMatches(policy, snapshot.serverVersion)
  const { due } = findDue(snapshot, policy, standingOf)
  const matched = new Map(policy.rules.map((rule) => [rule, 0]))
  const inScope: Session[] = []
  let orphans = 0
  for (const verdict of verdicts) {
    const { session } = verdict
    if (session.pid === snapshot.ownPid) continue
    const standing = standingOf(session)
    if (standing.inScope) inScope.push(session)
    if (verdict.verdict !== 'leave' && verdict.rule === ORPHAN_RULE) orphans += 1
    else if (standing.inScope) count(session, standing.rules, matched)
  }
  const others = snapshot.sessions.filter(({ pid }) => pid !== snapshot.ownPid)
  return {
    inScope: inScope.length,
    rules: [
      ...[...matched].map(([rule, sessions]) => ({
        name: rule.name,
        matched: sessions,
        due: due.has(rule),
      })),
      { name: ORPHAN_RULE, matched: orphans, due: true },
    ],
    unmatched: findUnmatched(policy, others, inScope, snapshot.serverVersion),
  }
}

function count({ state, ageSeconds }: Session, rules: Rule[], matched: Map<Rule, number>): void {
  for (const rule of rules) {
    const isMet = state === rule.state && (ageSeconds ?? -1) >= rule.olderThan
    if (isMet) matched.set(rule, (matched.get(rule) ?? 0) + 1)
  }
}

/**
 * Checks entry by entry, with two exceptions. A protection that matches no session gives one path, whatever
 * it lists. A scope, or the match of a rule, also gives one path if each entry matches some session but no
 * session matches all fields.
 */
function findUnmatched(
  policy: Policy,
  sessions: Session[],
  inScope: Session[],
  serverVersion: number,
): string[] {
  const meets = entryTester(sessions, serverVersion)
  const meetsNone = (match: Match, of: Session[]) => !of.some(compileMatch(match, serverVersion))
  const find = (match: Match, path: string, of: Session[]) => {
    const unmet = findUnmet(match, path, meets)
    return unmet.length === 0 && meetsNone(match, of) ? [path] : unmet
  }
  const findWhole = (match: Match, path: string) => {
    // A cheap test first: in a long list of protections most stop here, before any network is compared.
    const hasUnmetField = FIELDS.some((field) =>
      match[field]?.every((entry) => !meets(field, entry)),
    )
    return hasUnmetField || meetsNone(match, sessions) ? [path] : findUnmet(match, path, meets)
  }
  return [
    ...find(policy.scope, 'scope', sessions),
    ...(policy.protect ?? []).flatMap((match, index) => findWhole(match, `protect[${index}]`)),
    ...policy.rules.flatMap(({ match = {} }, index) =>
      Object.keys(match).length === 0 ? [] : find(match, `rules[${index}].match`, inScope),
    ),
  ]
}

function findUnmet(match: Match, path: string, meets: EntryTest): string[] {
  return FIELDS.flatMap((field) =>
    (match[field] ?? []).flatMap((entry, index) =>
      meets(field, entry) ? [] : [`${path}${writePath([field, index])}`],
    ),
  )
}

type EntryTest = (field: Field, entry: string) => boolean

/**
 * Tests an entry on one session for each distinct value of its field, because there are many pools but few
 * names. The values are sorted, so only the values that begin like the entry are tested.
 */
function entryTester(sessions: Session[], serverVersion: number): EntryTest {
  const byField = new Map(FIELDS.map((field) => [field, examplesOf(sessions, VALUE[field])]))
  return (field, entry) => {
    const { values, examples } = byField.get(field) as Examples
    const matches = compileMatch({ [field]: [entry] }, serverVersion)
    const prefix = field === 'clients' ? '' : (LITERAL.exec(entry)?.[0] ?? '')
    for (let at = lowerBound(values, prefix); values[at]?.startsWith(prefix); at += 1) {
      if (matches(examples[at] as Session)) return true
    }
    return false
  }
}

/**
 * The beginning of a glob, up to its first wildcard or its first character outside printable ASCII, which
 * servers write in different ways.
 */
const LITERAL = /^[ -)+->@-~]*/

/** The distinct values of one field, sorted, each with a session that has it. */
type Examples = { values: string[]; examples: Session[] }

function examplesOf(sessions: Session[], key: (typeof VALUE)[Field]): Examples {
  const found = new Map(sessions.map((session) => [session[key], session]))
  // No entry matches NULL.
  found.delete(null)
  const values = ([...found.keys()] as string[]).sort()
  return { values, examples: values.map((value) => found.get(value) as Session) }
}

/** The first index whose value is not less than `least`. */
function lowerBound(values: string[], least: string): number {
  let [from, to] = [0, values.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if ((values[middle] as string) < least) from = middle + 1
    else to = middle
  }
  return from
}

/** The entry of the policy at a path from `unmatched`. */
export function entryAt(policy: Policy, path: string): unknown {
  const keys = path.match(/\w+/g) ?? []
  return keys.reduce<unknown>((value, key) => (value as Record<string, unknown>)?.[key], policy)
}
