import { adviseApplication } from '../advice.ts'
import { type Case, type Fleet, isMighty, isTight, roleOf } from '../case.ts'
import type { Evidence, Finding, Remedy } from '../diagnosis.ts'
import { isPooler } from '../recognise.ts'
import {
  adjustPooler,
  endIdleNow,
  hasTimeout,
  limitIdleTime,
  limitRole,
  policyFor,
  proposeLimit,
} from '../remedies.ts'
import { effectiveTimeout } from '../timeouts.ts'
import { ago, atWork, nameOf, ownerOf, probably, round } from '../words.ts'

/** A fleet that holds a tenth or more of the usable slots, most of its sessions idle for over a minute. */
export function findHoards(now: Case): Finding[] {
  return now.hoards.map((fleet) => {
    const { usage, pool } = fleet
    const { members, idleOverMinute, peakBusy, oldestIdleSeconds } = usage
    return {
      id: 'hoard',
      severity: isTight(now) ? 'critical' : 'warning',
      title: `${nameOf(fleet)}${probably(fleet)} holds ${members.length} of ${now.usable} slots: ${idleOverMinute} are idle for over a minute (up to ${ago(oldestIdleSeconds)}), ${atWork(peakBusy)}`,
      evidence: evidenceOf(now, fleet),
      pool,
      remedies: remediesFor(now, fleet),
    }
  })
}

function evidenceOf({ usable, watchedSeconds }: Case, fleet: Fleet): Evidence {
  const { usage, recognised, clients, applications, guarded } = fleet
  return {
    sessions: usage.members.length,
    usable,
    percent: round((usage.members.length / usable) * 100),
    busy: usage.busy,
    peakBusy: usage.peakBusy,
    watchedSeconds: round(watchedSeconds),
    idleOverMinute: usage.idleOverMinute,
    oldestIdleSeconds: rounded(usage.oldestIdleSeconds),
    medianIdleSeconds: rounded(usage.medianIdleSeconds),
    longestComebackSeconds: rounded(usage.longestComebackSeconds),
    clients,
    applications,
    guarded,
    probably: recognised.framework ?? null,
    recognisedBy: recognised.by || null,
  }
}

const rounded = (value: number | null) => (value === null ? null : round(value))

/** What ends it for good comes first; then what bounds it; what ends sessions comes last. */
function remediesFor(now: Case, fleet: Fleet): Remedy[] {
  if (isPooler(fleet.recognised)) return adjustPooler(fleet)
  return [
    ...adviseApplication(now, fleet),
    ...limitRole(now, fleet),
    ...(hasTimeout(now, fleet) ? [] : limitIdleTime(now, fleet)),
    ...endIdleNow(now, fleet),
    ...policyFor(now, fleet),
  ]
}

/** The hoard's role has no idle_session_timeout where it would apply. */
export function findNoTimeouts(now: Case): Finding[] {
  // One finding for a role in a database is enough.
  const first = new Map(now.hoards.toReversed().map((fleet) => [ownerOf(fleet.pool), fleet]))
  return now.hoards
    .filter((fleet) => first.get(ownerOf(fleet.pool)) === fleet)
    .filter((fleet) => !isPooler(fleet.recognised) && !hasTimeout(now, fleet))
    .map((fleet) => {
      const { user, database } = fleet.pool
      const read = (name: string) => effectiveTimeout(now.observed.facts, name, user, database)
      const idle = read('idle_session_timeout')
      const inTransaction = read('idle_in_transaction_session_timeout')
      const remedies = limitIdleTime(now, fleet)
      const why =
        fleet.guarded > 0
          ? `; ${fleet.guarded} of its sessions listen or hold a lock, which a timeout would end`
          : ''
      return {
        id: 'no-timeouts',
        severity: 'warning',
        title: `No timeout ends idle sessions of ${ownerOf({ user, database })}${why}`,
        evidence: {
          idleSessionTimeoutMs: idle.ms,
          idleSessionTimeoutFrom: idle.source,
          idleInTransactionSessionTimeoutMs: inTransaction.ms,
          idleInTransactionSessionTimeoutFrom: inTransaction.source,
          guarded: fleet.guarded,
        },
        pool: fleet.pool,
        remedies: remedies.length > 0 ? remedies : policyFor(now, fleet),
      }
    })
}

/** Nothing bounds the hoard's role: no CONNECTION LIMIT of the role and none of the database. */
export function findNoLimit(now: Case): Finding[] {
  // One finding for a role is enough.
  const first = new Map(now.hoards.toReversed().map((fleet) => [fleet.pool.user, fleet]))
  return (
    now.hoards
      .filter((fleet) => first.get(fleet.pool.user) === fleet && isUnbounded(now, fleet))
      // A pooler bounds itself. A limit of its role would make it refuse its clients.
      .filter(({ recognised }) => !isPooler(recognised))
      .map((fleet) => {
        const { user } = fleet.pool
        const usage = now.byRole.get(user)
        const proposed = proposeLimit(now, user)?.proposed ?? null
        return {
          id: 'no-limit',
          severity: 'warning',
          title: `Role ${user} may take every slot: it has no CONNECTION LIMIT${proposed === null ? ', and it uses too many at once for one that would leave others room' : ''}`,
          evidence: {
            sessions: usage?.members.length ?? 0,
            peakBusy: usage?.peakBusy ?? 0,
            usable: now.usable,
            proposed,
          },
          pool: fleet.pool,
          remedies: limitRole(now, fleet),
        }
      })
  )
}

/** A superuser is never bounded, whatever its limit says, so it does not count here. */
function isUnbounded(now: Case, { pool }: Fleet): boolean {
  const role = roleOf(now, pool.user)
  const database = now.observed.facts.roles?.databases.find(({ name }) => name === pool.database)
  return role !== undefined && role.limit < 0 && !isMighty(role) && (database?.limit ?? -1) < 0
}
