import { entryAt } from './core/coverage.ts'
import { isExposed } from './core/judge.ts'
import type { Policy } from './core/policy.ts'
import type { Report } from './core/report.ts'
import { brief } from './core/schema.ts'
import type { Snapshot } from './core/session.ts'
import { grantUsable } from './postgres/rights.ts'

/** What a person has to know of a sweep that succeeded: a short name, and what it means and needs. */
export type Notice = {
  message: 'scope meets no session' | 'cannot signal' | 'activity not tracked'
  why: string
}

/** What keeps this policy, this role or this server from ending anybody: the same in both modes. */
export function notices(
  snapshot: Snapshot,
  policy: Policy,
  { inScope, cannotSignal, sessions, unmatched }: Report,
): Notice[] {
  const { ownUser, serverVersion, signaller } = snapshot
  const found: Notice[] = []
  if (inScope === 0) {
    const inVain = unmatched.filter((path) => path.startsWith('scope'))
    const why =
      inVain.length === 0
        ? 'no session but that of this sweep is there, so the policy has no session to decide about'
        : `none of the ${sessions.total} sessions is in the scope of the policy, so it ends none: see ${inVain.map((path) => showEntry(policy, path)).join(', ')}`
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
    const why = `track_activities is off for ${untracked.length} of the sessions in scope: the server does not say whether they idle, so no rule meets them. As an administrator: ALTER SYSTEM SET track_activities = on; or ALTER ROLE … RESET track_activities where it is off for a role alone; on RDS it is in the parameter group.`
    found.push({ message: 'activity not tracked', why })
  }
  return found
}

/** A path of the policy with what stands there. */
export function showEntry(policy: Policy, path: string): string {
  return `${path} (${brief(entryAt(policy, path))})`
}
