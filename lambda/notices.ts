import { entryAt } from './core/coverage.ts'
import { isExposed } from './core/judge.ts'
import type { Policy } from './core/policy.ts'
import type { Report } from './core/report.ts'
import { brief } from './core/schema.ts'
import type { Snapshot } from './core/session.ts'
import { grantUsable } from './postgres/rights.ts'

/**
 * What a person must know about a sweep that succeeded: a short name, and a text that says what it means and
 * what to do.
 */
export type Notice = {
  message: 'scope meets no session' | 'cannot signal' | 'activity not tracked'
  why: string
}

/**
 * Finds what keeps the policy, the role or the server from ending any session. Both modes give the same
 * notices.
 */
export function notices(
  snapshot: Snapshot,
  policy: Policy,
  { inScope, cannotSignal, sessions, unmatched }: Report,
): Notice[] {
  const { ownUser, serverVersion, signaller } = snapshot
  const found: Notice[] = []
  if (inScope === 0) {
    const unmatchedScope = unmatched.filter((path) => path.startsWith('scope'))
    // A policy of which every entry is unmatched says nothing where there is nobody to match.
    const isAlone = snapshot.sessions.every(({ pid }) => pid === snapshot.ownPid)
    const why =
      isAlone || unmatchedScope.length === 0
        ? "the only session is this sweep's own, so the policy has no session to decide about"
        : `none of the ${sessions.total} sessions is in the scope of the policy, so it ends none: see ${unmatchedScope.map((path) => showEntry(policy, path)).join(', ')}`
    found.push({ message: 'scope meets no session', why })
  }
  if (cannotSignal) {
    const grant = grantUsable('pg_signal_backend', { role: ownUser, serverVersion, ...signaller })
    const why = `role ${ownUser} can't end the sessions of roles that it does not belong to. As an administrator: ${grant}`
    found.push({ message: 'cannot signal', why })
  }
  const untracked = snapshot.sessions
    .filter(({ state }) => state === 'disabled')
    .filter(isExposed(snapshot, policy))
  if (untracked.length > 0) {
    const why = `track_activities is off for ${untracked.length} of the sessions in scope: the server does not say whether they are idle, so no rule matches them. As an administrator: ALTER SYSTEM SET track_activities = on; if it is off for one role only: ALTER ROLE … RESET track_activities; on RDS, set it in the parameter group.`
    found.push({ message: 'activity not tracked', why })
  }
  return found
}

/** A path of the policy, and the entry at that path. */
export function showEntry(policy: Policy, path: string): string {
  return `${path} (${brief(entryAt(policy, path))})`
}
