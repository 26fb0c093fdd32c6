import { keepRecent, limit } from './limits.ts'
import type { Policy, Rule } from './policy.ts'
import { builtInProtection, guard, isOrphan, ORPHAN_RULE } from './protection.ts'
import type { Session, Snapshot } from './session.ts'
import { countSlots } from './slots.ts'
import { compileMatches, type Standing } from './standing.ts'
import { spare, type Verdict } from './verdict.ts'

/** Gives one verdict for each session, in the snapshot's order. It depends on its arguments alone. */
export function judge(snapshot: Snapshot, policy: Policy): Verdict[] {
  const decide = compile(snapshot, policy)
  return limit(keepRecent(snapshot.sessions.map(decide), policy.keep), policy.budget)
}

/**
 * Returns a test for sessions that the policy could ever touch, whatever its rules are. Such a session is in
 * the policy's scope, and neither the policy nor a built-in protection protects it.
 */
export function isExposed(snapshot: Snapshot, policy: Policy): (session: Session) => boolean {
  const standingOf = compileMatches(policy, snapshot.serverVersion)
  return (session) => {
    const { inScope, protector } = standingOf(session)
    return inScope && (builtInProtection(session, snapshot) ?? protector) === undefined
  }
}

/**
 * Whether knowing the holders of advisory locks and replication slots could change this verdict. Knowing the
 * holders never makes another rule due: a holder no longer counts as an idle session, and another session
 * takes its place among the kept ones.
 */
export function dependsOnHolders(verdict: Verdict, policy: Policy): boolean {
  if (verdict.verdict !== 'spare') return verdict.verdict === 'reap'
  if (verdict.reason !== 'protected' || verdict.rule === ORPHAN_RULE) return true
  // If the holders do not count, too few idle sessions may be left for `idleOver`. Then this session matches
  // no rule.
  return policy.rules.some(
    ({ name, when }) => name === verdict.rule && when?.idleOver !== undefined,
  )
}

function compile(snapshot: Snapshot, policy: Policy): (session: Session) => Verdict {
  const standingOf = compileMatches(policy, snapshot.serverVersion)
  const protection = (session: Session) =>
    builtInProtection(session, snapshot) ?? standingOf(session).protector
  const { crowd, usedPercent, due } = findDue(snapshot, policy, standingOf)

  return (session) => {
    const { inScope, protector: policyProtector, rules } = standingOf(session)
    if (isOrphan(session, snapshot)) return judgeOrphan(session, policyProtector)
    if (!inScope) return { verdict: 'leave', session, why: 'out of scope' }
    const age = session.ageSeconds
    if (age === null) {
      return {
        verdict: 'leave',
        session,
        why: `the server does not say how long it is ${session.state}`,
      }
    }
    const rule = rules.find(
      (rule) => rule.state === session.state && age >= rule.olderThan && due.has(rule),
    )
    if (!rule) return { verdict: 'leave', session, why: 'meets no rule' }

    const protector = protection(session)
    if (protector) return spare(session, rule.name, 'protected', protector)
    const guarded = guard(session)
    if (guarded) return spare(session, rule.name, ...guarded)
    return {
      verdict: 'reap',
      session,
      rule: rule.name,
      action: rule.action,
      why: reason(rule, age, crowd, usedPercent),
    }
  }
}

/**
 * The rules whose `when` holds, and the numbers that decide it. `crowd` counts the idle sessions in scope
 * without any protection or guard; it is 0 if no rule has `idleOver`.
 */
export function findDue(
  snapshot: Snapshot,
  policy: Policy,
  standingOf: (session: Session) => Standing,
): { crowd: number; usedPercent: number; due: ReadonlySet<Rule> } {
  const crowd = policy.rules.some(({ when }) => when?.idleOver !== undefined)
    ? snapshot.sessions.filter(
        (session) =>
          session.state === 'idle' &&
          standingOf(session).inScope &&
          !guard(session) &&
          !builtInProtection(session, snapshot) &&
          !standingOf(session).protector,
      ).length
    : 0
  const { usedPercent } = countSlots(snapshot)
  const due = new Set(policy.rules.filter((rule) => isDue(rule, crowd, usedPercent)))
  return { crowd, usedPercent, due }
}

function judgeOrphan(session: Session, protector: string | undefined): Verdict {
  if (protector) return spare(session, ORPHAN_RULE, 'protected', protector)
  const why = `idle ${seconds(session.ageSeconds)}, left by an earlier run of Slotkeeper`
  return { verdict: 'reap', session, rule: ORPHAN_RULE, action: 'terminate', why }
}

function isDue({ when }: Rule, crowd: number, usedPercent: number): boolean {
  if (when?.idleOver !== undefined && crowd <= when.idleOver) return false
  return when?.slotsUsedOver === undefined || usedPercent > when.slotsUsedOver
}

function reason(
  { state, olderThan, when }: Rule,
  age: number,
  crowd: number,
  usedPercent: number,
): string {
  const parts = [`${state} ${seconds(age)}, limit ${seconds(olderThan)}`]
  if (when?.idleOver !== undefined) parts.push(`${crowd} idle, more than ${when.idleOver}`)
  if (when?.slotsUsedOver !== undefined) {
    parts.push(`${usedPercent}% of slots used, more than ${when.slotsUsedOver}%`)
  }
  return parts.join('; ')
}

function seconds(value: number | null): string {
  return `${Math.round((value ?? 0) * 10) / 10} s`
}
