import { findDue, judge } from '../../lambda/core/judge.ts'
import type { Policy, Rule } from '../../lambda/core/policy.ts'
import { ORPHAN_AFTER_SECONDS, ORPHAN_RULE } from '../../lambda/core/protection.ts'
import type { Session, Snapshot } from '../../lambda/core/session.ts'
import { compileMatches } from '../../lambda/core/standing.ts'
import { reapVerdicts } from '../../lambda/core/verdict.ts'

/** A session that will meet a rule if it stays as it is, and the seconds until then; 0 if it meets one now. */
export type Next = { session: Session; rule: string; seconds: number }

/** A rule with a condition, whether the condition holds now, and the numbers that decide it. */
export type Condition = { rule: string; holds: boolean; why: string }

/**
 * Finds when each session will meet a rule, if the session and the number of sessions stay as they are: the
 * soonest first. It leaves out the budget of a sweep, since later sweeps reap the rest. A session may turn out to
 * hold an advisory lock or a replication slot, which a sweep reads only once a rule is met.
 */
export function findNext(snapshot: Snapshot, { budget, ...policy }: Policy): Next[] {
  const standingOf = compileMatches(policy, snapshot.serverVersion)
  const { due } = findDue(snapshot, policy, standingOf)
  const limits = [ORPHAN_AFTER_SECONDS, ...policy.rules.map(({ olderThan }) => olderThan)]
  const horizon = Math.max(...limits)
  const bySession = new Map(snapshot.sessions.map((session) => [session.pid, session]))
  // Judged as old as the oldest limit, a session is condemned exactly if it will be at some time.
  return reapVerdicts(judge(agedBy(snapshot, horizon), policy))
    .map((verdict): Next => {
      const session = bySession.get(verdict.session.pid) ?? verdict.session
      const age = session.ageSeconds ?? 0
      if (verdict.rule === ORPHAN_RULE) {
        return { session, rule: ORPHAN_RULE, seconds: Math.max(0, ORPHAN_AFTER_SECONDS - age) }
      }
      const rules = standingOf(session).rules.filter(
        (rule) => rule.state === session.state && due.has(rule),
      )
      return { session, ...soonest(rules, age) }
    })
    .sort((a, b) => a.seconds - b.seconds || ageOf(b) - ageOf(a))
}

/** The conditions of the rules, in the order of the policy. */
export function findConditions(snapshot: Snapshot, policy: Policy): Condition[] {
  const standingOf = compileMatches(policy, snapshot.serverVersion)
  const { crowd, usedPercent, due } = findDue(snapshot, policy, standingOf)
  return policy.rules.flatMap((rule) => {
    const { name, when } = rule
    if (when === undefined) return []
    const numbers = [
      ...(when.idleOver === undefined ? [] : [`${crowd} idle, acts above ${when.idleOver}`]),
      ...(when.slotsUsedOver === undefined
        ? []
        : [`${usedPercent} % of the slots used, acts above ${when.slotsUsedOver} %`]),
    ]
    return [{ rule: name, holds: due.has(rule), why: numbers.join('; ') }]
  })
}

/** The same snapshot, if nothing changed for this long. */
export function agedBy(snapshot: Snapshot, seconds: number): Snapshot {
  const sessions = snapshot.sessions.map((session) => ({
    ...session,
    ageSeconds: session.ageSeconds === null ? null : session.ageSeconds + seconds,
  }))
  return { ...snapshot, sessions }
}

/** The first rule that the session will meet. If it meets several at once, the first in the policy decides. */
function soonest(rules: Rule[], age: number): { rule: string; seconds: number } {
  const waits = rules.map(({ name, olderThan }) => ({
    rule: name,
    seconds: Math.max(0, olderThan - age),
  }))
  return waits.reduce((first, other) => (other.seconds < first.seconds ? other : first))
}

function ageOf({ session }: Next): number {
  return session.ageSeconds ?? 0
}
