import type { Action } from './policy.ts'
import type { Session } from './session.ts'

export type SpareReason =
  | 'protected'
  | 'listening'
  | 'advisoryLock'
  | 'replicationSlot'
  | 'backup'
  | 'kept'
  | 'budget'

/** What the policy says about one session; `why` is for people. */
export type Verdict =
  | { verdict: 'leave'; session: Session; why: string }
  | { verdict: 'spare'; session: Session; rule: string; reason: SpareReason; why: string }
  | { verdict: 'reap'; session: Session; rule: string; action: Action; why: string }

export type ReapVerdict = Extract<Verdict, { verdict: 'reap' }>

/**
 * The verdicts to reap, the session that is in its state the longest first. Outcomes are matched to them by position.
 */
export function reapVerdicts(verdicts: Verdict[]): ReapVerdict[] {
  return verdicts
    .filter((verdict): verdict is ReapVerdict => verdict.verdict === 'reap')
    .sort((a, b) => longestFirst(a.session, b.session))
}

/** Orders sessions by the time in their state, the longest first. */
export function longestFirst(a: Session, b: Session): number {
  return (b.ageSeconds ?? 0) - (a.ageSeconds ?? 0) || a.pid - b.pid
}

export function spare(session: Session, rule: string, reason: SpareReason, why: string): Verdict {
  return { verdict: 'spare', session, rule, reason, why }
}
