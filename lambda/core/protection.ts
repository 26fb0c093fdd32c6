import { BUILT_IN } from './policy.ts'
import type { Session, Snapshot } from './session.ts'
import type { SpareReason } from './verdict.ts'

/** The `application_name` of Slotkeeper's own sessions. */
export const APPLICATION_NAME = 'slotkeeper'

/** The built-in rule that reaps sessions left open by an earlier execution environment of the function. */
export const ORPHAN_RULE = `${BUILT_IN}orphan`

/**
 * A live environment sweeps each minute. After five minutes without a query, no environment uses the session.
 */
export const ORPHAN_AFTER_SECONDS = 300

/**
 * The reason for a protection that no policy can lift, or undefined. The server refuses to signal superusers'
 * sessions anyway. The `rds*` roles belong to the service itself (rdsadmin, rdsproxyadmin, rdsrepladmin).
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

/**
 * If something would be lost with the session, the reason to spare it and a text for people; otherwise
 * undefined.
 */
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

/** Secrets Manager's rotation with alternating users switches between the role `x` and its twin `x_clone`. */
function baseRole(user: string): string {
  return user.replace(/_clone$/, '')
}

/**
 * Whether an earlier execution environment left this session open. A session that listens, or that holds a
 * lock or a replication slot, is not one of ours, because a sweep does none of these.
 */
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
