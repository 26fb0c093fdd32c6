import { poolOf } from './churn.ts'
import { compileMatch } from './match.ts'
import { type Action, BUILT_IN, type Policy, type Rule } from './policy.ts'
import type { Session, Snapshot } from './session.ts'
import { countSlots } from './slots.ts'

/** Slotkeeper's own `application_name`. */
export const APPLICATION_NAME = 'slotkeeper'

/** The rule that reaps what an earlier environment of the function left open. */
export const ORPHAN_RULE = `${BUILT_IN}orphan`

/** A living environment sweeps each minute, so after five without a query nobody uses the session. */
const ORPHAN_AFTER_SECONDS = 300

export type SpareReason = 'protected' | 'listening' | 'advisoryLock' | 'kept' | 'budget'

/** What the policy says of one session; `why` is for people. */
export type Verdict =
  | { verdict: 'leave'; session: Session; why: string }
  | { verdict: 'spare'; session: Session; rule: string; reason: SpareReason; why: string }
  | { verdict: 'reap'; session: Session; rule: string; action: Action; why: string }

export type ReapVerdict = Extract<Verdict, { verdict: 'reap' }>

/** One verdict a session, in the snapshot's order. Decides from its arguments alone. */
export function judge(snapshot: Snapshot, policy: Policy): Verdict[] {
  const decide = compile(snapshot, policy)
  return limit(keepRecent(snapshot.sessions.map(decide), policy.keep), policy.budget)
}

/**
 * Whether the policy could ever touch a session, whatever rules it has: one in its scope that neither it
 * nor anything built in protects.
 */
export function isExposed(snapshot: Snapshot, policy: Policy): (session: Session) => boolean {
  const standingOf = compileMatches(policy)
  return (session) => {
    const { inScope, protector } = standingOf(session)
    return inScope && (builtInProtection(session, snapshot) ?? protector) === undefined
  }
}

/**
 * Whether an advisory lock, of this session or of another one, could make it another verdict. With all
 * locks known nobody is reaped and no rule is due that was not without: a lock takes its holder out of
 * the idle ones that are counted, and gives its place among the kept ones to another.
 */
export function hangsOnLocks(verdict: Verdict): boolean {
  if (verdict.verdict !== 'spare') return verdict.verdict === 'reap'
  return verdict.reason !== 'protected' || verdict.rule === ORPHAN_RULE
}

function compile(snapshot: Snapshot, policy: Policy): (session: Session) => Verdict {
  const standingOf = compileMatches(policy)
  const protection = (session: Session) =>
    builtInProtection(session, snapshot) ?? standingOf(session).protector

  const crowd = policy.rules.some(({ when }) => when?.idleOver !== undefined)
    ? snapshot.sessions.filter(
        (session) =>
          session.state === 'idle' &&
          standingOf(session).inScope &&
          !guard(session) &&
          !protection(session),
      ).length
    : 0
  const { usedPercent } = countSlots(snapshot)
  const due = new Set(policy.rules.filter((rule) => isDue(rule, crowd, usedPercent)))

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

/** How a pool stands in the policy's matches. */
type Standing = {
  inScope: boolean
  protector: string | undefined
  /** Those that are for it, in their order. */
  rules: Rule[]
}

/** A match looks at what makes a pool and no more, so each is tried once for a pool. */
function compileMatches(policy: Policy): (session: Session) => Standing {
  const inScope = compileMatch(policy.scope)
  const protections = (policy.protect ?? []).map(compileMatch)
  const rules = policy.rules.map((rule) => ({ rule, matches: compileMatch(rule.match ?? {}) }))
  const known = new Map<string, Standing>()

  const findStanding = (session: Session): Standing => {
    const index = protections.findIndex((matches) => matches(session))
    return {
      inScope: inScope(session),
      protector: index < 0 ? undefined : `protect[${index}] of the policy`,
      rules: rules.filter(({ matches }) => matches(session)).map(({ rule }) => rule),
    }
  }
  return (session) => {
    const pool = poolOf(session)
    const standing = known.get(pool) ?? findStanding(session)
    known.set(pool, standing)
    return standing
  }
}

/**
 * What no policy can lift. Superusers' sessions refuse the signal anyway; the `rds*` roles are the
 * service's own (rdsadmin, rdsproxyadmin, rdsrepladmin).
 */
function builtInProtection(session: Session, { ownPid, ownUser }: Snapshot): string | undefined {
  if (session.pid === ownPid) return 'this sweep itself'
  if (session.user === null || session.superuser === null) return 'its owner is not known'
  if (isOfRds(session.user)) return `role ${session.user} belongs to RDS`
  if (session.superuser) return 'owned by a superuser'
  if (isOwn(session, ownUser)) return 'another run of Slotkeeper'
  return undefined
}

function isOfRds(user: string): boolean {
  return user.startsWith('rds')
}

function guard({ listening, advisoryLock }: Session): [SpareReason, string] | undefined {
  if (advisoryLock) return ['advisoryLock', 'holds an advisory lock']
  if (listening) return ['listening', 'its last query is LISTEN']
  return undefined
}

function isOwn({ application, user }: Session, ownUser: string): boolean {
  return application === APPLICATION_NAME && user !== null && baseRole(user) === baseRole(ownUser)
}

/** Secrets Manager's alternating-users rotation swaps the role `x` with its twin `x_clone`. */
function baseRole(user: string): string {
  return user.replace(/_clone$/, '')
}

/** A session that listens or holds an advisory lock is a stranger's: a sweep does neither. */
function isOrphan(session: Session, snapshot: Snapshot): boolean {
  return (
    session.pid !== snapshot.ownPid &&
    session.superuser === false &&
    session.state === 'idle' &&
    (session.ageSeconds ?? 0) >= ORPHAN_AFTER_SECONDS &&
    isOwn(session, snapshot.ownUser) &&
    !isOfRds(snapshot.ownUser) &&
    !guard(session)
  )
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

/** Leaves the `keep` most recently used idle sessions of each pool, whether they met a rule or not. */
function keepRecent(verdicts: Verdict[], keep: number): Verdict[] {
  if (keep === 0) return verdicts
  const pools = new Map<string, Session[]>()
  for (const { session } of verdicts) {
    // A listener serves no request, so it takes no place among the kept ones.
    if (session.state !== 'idle' || guard(session)) continue
    const pool = poolOf(session)
    const members = pools.get(pool)
    if (members) members.push(session)
    else pools.set(pool, [session])
  }
  const kept = new Set<Session>()
  for (const members of pools.values()) {
    for (const session of members.sort(longestFirst).slice(-keep)) kept.add(session)
  }
  return verdicts.map((verdict) =>
    verdict.verdict === 'reap' && verdict.rule !== ORPHAN_RULE && kept.has(verdict.session)
      ? spare(
          verdict.session,
          verdict.rule,
          'kept',
          `one of the ${keep} most recently used of its pool`,
        )
      : verdict,
  )
}

/** Spares what goes beyond the budget: the longest in their state are reaped first. */
function limit(verdicts: Verdict[], budget: number | undefined): Verdict[] {
  if (budget === undefined) return verdicts
  const ranked = verdicts
    .filter((verdict): verdict is ReapVerdict => verdict.verdict === 'reap')
    .sort((a, b) => longestFirst(a.session, b.session))
  const beyond = new Set<Verdict>(ranked.slice(budget))
  return verdicts.map((verdict) =>
    verdict.verdict === 'reap' && beyond.has(verdict)
      ? spare(
          verdict.session,
          verdict.rule,
          'budget',
          `beyond the budget of ${budget} in one sweep`,
        )
      : verdict,
  )
}

function longestFirst(a: Session, b: Session): number {
  return (b.ageSeconds ?? 0) - (a.ageSeconds ?? 0) || a.pid - b.pid
}

function spare(session: Session, rule: string, reason: SpareReason, why: string): Verdict {
  return { verdict: 'spare', session, rule, reason, why }
}

function seconds(value: number | null): string {
  return `${Math.round((value ?? 0) * 10) / 10} s`
}
