import { poolOf } from './pool.ts'
import { guard, ORPHAN_RULE } from './protection.ts'
import type { Session } from './session.ts'
import { longestFirst, reapVerdicts, spare, type Verdict } from './verdict.ts'

/**
 * Spares the `keep` most recently used idle sessions of each pool. Sessions that match no rule are among those
 * kept.
 */
export function keepRecent(verdicts: Verdict[], keep: number): Verdict[] {
  if (keep === 0) return verdicts
  const pools = new Map<string, Session[]>()
  for (const { session } of verdicts) {
    // A guarded session, such as a listener, serves no requests, so it is not among those kept.
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

/**
 * Spares the sessions beyond the budget. The sessions that are in their state the longest are reaped first.
 */
export function limit(verdicts: Verdict[], budget: number | undefined): Verdict[] {
  if (budget === undefined) return verdicts
  const beyond = new Set<Verdict>(reapVerdicts(verdicts).slice(budget))
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
