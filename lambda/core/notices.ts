import { entryAt } from './coverage.ts'
import type { Policy } from './policy.ts'
import type { Report } from './report.ts'
import { brief } from './schema.ts'
import type { Snapshot } from './session.ts'

/** What a person has to know of a sweep that succeeded: a short name, and what it means and needs. */
export type Notice = { message: 'scope meets no session' | 'cannot signal'; why: string }

/** What keeps this policy, or this role, from ending anybody: the same in both modes. */
export function notices(
  { ownUser, signalGrant }: Pick<Snapshot, 'ownUser' | 'signalGrant'>,
  policy: Policy,
  { inScope, cannotSignal, sessions, unmatched }: Report,
): Notice[] {
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
    const why = `role ${ownUser} can't end the sessions of roles that it does not belong to. As an administrator: ${signalGrant}`
    found.push({ message: 'cannot signal', why })
  }
  return found
}

/** A path of the policy with what stands there. */
export function showEntry(policy: Policy, path: string): string {
  return `${path} (${brief(entryAt(policy, path))})`
}
