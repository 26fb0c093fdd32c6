import { BUILT_IN } from './policy.ts'
import type { Session, Snapshot } from './session.ts'
import type { SpareReason } from './verdict.ts'

/** Slotkeeper's own `application_name`. */
export const APPLICATION_NAME = 'slotkeeper'

/** The rule that reaps what an earlier environment of the function left open. */
export const ORPHAN_RULE = `${BUILT_IN}orphan`

/** A living environment sweeps each minute, so after five without a query nobody uses the session. */
const ORPHAN_AFTER_SECONDS = 300

/**
 * What no policy can lift. Superusers' sessions refuse the signal anyway; the `rds*` roles are the
 * service's own (rdsadmin, rdsproxyadmin, rdsrepladmin).
 */
export function builtInProtection(
  session: Session,
  { ownPid, ownUser }: Snapshot,
): string | undefined {
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

/** What would be lost with the session, and the reason to spare it. */
export function guard(session: Session): [SpareReason, string] | undefined {
  if (session.advisoryLock) return ['advisoryLock', 'holds an advisory lock']
  if (session.replicationSlot) return ['replicationSlot', 'has a replication slot in use']
  if (session.backup) return ['backup', 'is between the start and the stop of a backup']
  if (session.listening) return ['listening', 'listens for notifications']
  return undefined
}

function isOwn({ application, user }: Session, ownUser: string): boolean {
  return application === APPLICATION_NAME && user !== null && baseRole(user) === baseRole(ownUser)
}

/** Secrets Manager's alternating-users rotation swaps the role `x` with its twin `x_clone`. */
function baseRole(user: string): string {
  return user.replace(/_clone$/, '')
}

/** A session that holds or listens to something is a stranger's: a sweep does neither. */
export function isOrphan(session: Session, snapshot: Snapshot): boolean {
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
