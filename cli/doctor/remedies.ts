import { APPLICATION_NAME } from '../../lambda/core/protection.ts'
import { greatest } from '../causes.ts'
import { poolerLines } from './advice.ts'
import { type Case, type Fleet, isMighty, isTight, roleOf } from './case.ts'
import type { Remedy } from './diagnosis.ts'
import { identifier, literal } from './quote.ts'
import { isPooler } from './recognise.ts'
import { heldByOthers, needOf, proposedSize, roomFor, whySize } from './sizes.ts'
import { effectiveTimeout } from './timeouts.ts'
import { ago, atWork, nameOf, ownerOf, plural, stepAbove, stepBelow } from './words.ts'

/** A time and how PostgreSQL writes it. */
export type Timeout = [seconds: number, written: string]

/**
 * A time after which idle sessions of a fleet can be ended now: none was seen to be used again after it, and most have
 * passed it. Undefined if there is none: it would end sessions in use, or none at all.
 */
export function proposeAge({ usage }: Pick<Fleet, 'usage'>): Timeout | undefined {
  const { longestComebackSeconds, medianIdleSeconds, oldestIdleSeconds } = usage
  const least = stepAbove(SAFETY * (longestComebackSeconds ?? 0))
  if (least === undefined || medianIdleSeconds === null) return undefined
  const most = stepBelow(medianIdleSeconds / 2)
  const chosen = most[0] >= least[0] ? most : least
  return chosen[0] < (oldestIdleSeconds ?? 0) ? chosen : undefined
}

/** A session may idle for this many times what was seen in a short watch. */
const SAFETY = 2
/** A timeout that stays holds at night and at noon too, which a watch of seconds does not see. */
const LEAST_LASTING_SECONDS = 300

/** A timeout that may stay. Undefined if sessions come back after more than it could be. */
export function proposeTimeout({ usage }: Pick<Fleet, 'usage'>): Timeout | undefined {
  const { longestComebackSeconds, medianIdleSeconds } = usage
  const least = stepAbove(Math.max(LEAST_LASTING_SECONDS, SAFETY * (longestComebackSeconds ?? 0)))
  if (least === undefined || medianIdleSeconds === null) return undefined
  const most = stepBelow(medianIdleSeconds / 2)
  return most[0] >= least[0] ? most : least
}

/** How many idle sessions have passed a time. */
function countOver({ usage }: Fleet, seconds: number): number {
  return usage.members.filter(
    ({ state, ageSeconds }) => state === 'idle' && (ageSeconds ?? 0) > seconds,
  ).length
}

/** So that a line of SQL, indented, fits into a terminal. */
const MOST_SQL_WIDTH = 78

/** Ends the idle sessions of one fleet that nothing needs. It matches the role, the database and the names exactly. */
export function endIdleNow(now: Case, fleet: Fleet): Remedy[] {
  const { user, database } = fleet.pool
  const timeout = proposeAge(fleet)
  if (user === null || database === null || timeout === undefined || isPooler(fleet.recognised)) {
    return []
  }
  const [seconds, written] = timeout
  const owner = ` WHERE usename = ${literal(user)} AND datname = ${literal(database)}`
  const named = matchNames(now, fleet)
  const line = `${owner} ${named}`.trimEnd()
  return [
    {
      kind: 'sql',
      text: `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity a
${line.length <= MOST_SQL_WIDTH ? line : `${owner}\n   ${named}`}
   AND state = 'idle' AND state_change < now() - interval '${written}'
   AND backend_type = 'client backend' AND query !~* 'listen|backup'
   AND 'advisory' <> ALL (SELECT locktype FROM pg_locks WHERE pid = a.pid)
   AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE active_pid = pid);`,
      why: `Frees up to ${plural(countOver(fleet, seconds), 'slot')} at once: the sessions that are idle for over ${written}. It leaves holders of advisory locks and of replication slots, and sessions whose last query names listen or backup. Run it as a role with pg_signal_backend. The clients of the ended sessions see an error at their next query, unless they reconnect by themselves. A session that begins to work in the same instant is ended too: slotkeeper sweep --reap looks once more at each.`,
    },
  ]
}

/** A fleet of many small applications has all names but those of the large ones of its role. */
function matchNames(now: Case, { pool }: Fleet): string {
  if (pool.application !== null) return `AND application_name = ${literal(pool.application)}`
  const others = fleetsOf(now, pool).flatMap(({ pool: { application } }) =>
    application === null ? [] : [literal(application)],
  )
  return others.length === 0 ? '' : `AND application_name NOT IN (${others.join(', ')})`
}

/** The fleets of the same role in the same database. */
function fleetsOf({ fleets }: Case, { user, database }: Fleet['pool']): Fleet[] {
  return fleets.filter(({ pool }) => pool.user === user && pool.database === database)
}

/** A rule for the role in the database must suit its other applications too, which may come back later. */
function asOwner(now: Case, { usage, pool }: Fleet): Pick<Fleet, 'usage'> {
  const comebacks = fleetsOf(now, pool).map((fleet) => fleet.usage.longestComebackSeconds ?? 0)
  const longest = greatest(comebacks)
  return { usage: { ...usage, longestComebackSeconds: longest === 0 ? null : longest } }
}

/**
 * Bounds the role, so that everyone else gets in. Above what the role was seen to use, and never where it has no
 * effect.
 */
export function limitRole(now: Case, fleet: Fleet): Remedy[] {
  const { user } = fleet.pool
  const limit = proposeLimit(now, user)
  if (user === null || limit === undefined) return []
  const { sessions, peakBusy, proposed, others, before } = limit
  return [
    {
      kind: 'sql',
      text: `ALTER ROLE ${identifier(user)} CONNECTION LIMIT ${proposed};`,
      why: `Leaves room for the other roles. The role holds ${plural(sessions, 'session')} (${atWork(peakBusy)}); ${proposed} leaves ${now.usable - proposed} of ${now.usable} slots for others, who hold ${others}. It ends no session. While the role holds as many, its new logins are refused: a pool whose sessions are ended fills up to this limit again, and no further. It does not fix the application. Undo it with CONNECTION LIMIT ${before}.`,
    },
  ]
}

/** Twice what it uses, so that no session at work is ever refused a slot. */
const BUSY_FACTOR = 2

type LimitProposal = {
  /** What the role holds, and the most that it was seen to use at once. */
  sessions: number
  peakBusy: number
  proposed: number
  /** What the other roles hold. */
  others: number
  /** The limit that the role has; -1 for none. */
  before: number
}

export function proposeLimit(now: Case, user: string | null): LimitProposal | undefined {
  const role = roleOf(now, user)
  const usage = now.byRole.get(user)
  const isOwn = user === now.last.snapshot.ownUser
  if (user === null || usage === undefined || isOwn) return undefined
  if (role === undefined || isMighty(role)) return undefined
  const sessions = usage.members.length
  const others = heldByOthers(now, user)
  const proposed = roomFor(now, user)
  const least = Math.max(3, BUSY_FACTOR * usage.peakBusy + 1)
  // A limit that exists is never raised here.
  if (proposed < least || (role.limit >= 0 && role.limit <= proposed)) return undefined
  return { sessions, peakBusy: usage.peakBusy, proposed, others, before: role.limit }
}

const PRICE =
  'It also ends listeners and holders of advisory locks. A client that reconnects by itself does not notice that its SET, its temporary tables and its locks are gone. It applies to new sessions only.'

/** A timeout for the role in the database, if no session of the fleet would lose more than itself. */
export function limitIdleTime(now: Case, fleet: Fleet): Remedy[] {
  const { user, database } = fleet.pool
  const owner = asOwner(now, fleet)
  const timeout = proposeTimeout(owner)
  if (user === null || database === null || timeout === undefined) return []
  if (isDelicate(now, user) || isMighty(roleOf(now, user))) return []
  const [seconds, written] = timeout
  const { longestComebackSeconds } = owner.usage
  const seen =
    longestComebackSeconds === null
      ? `No idle session was used again in ${ago(now.watchedSeconds)}`
      : `The longest idle time that was followed by a use was ${ago(longestComebackSeconds)}`
  // What is set for the role in the database hides what is set for the role.
  const { source } = effectiveTimeout(now.observed.facts, 'idle_session_timeout', user, database)
  const isApart = countOwners(now, user) > 1 || source === 'role in database'
  const inDatabase = isApart ? ` IN DATABASE ${identifier(database)}` : ''
  return [
    {
      kind: 'sql',
      text: `ALTER ROLE ${identifier(user)}${inDatabase} SET idle_session_timeout = '${written}';`,
      why: `${seen}, and ${countOver(fleet, seconds)} of ${fleet.usage.members.length} sessions are idle for over ${written} now; watch longer (--for 10m) to be more certain. ${PRICE}`,
    },
  ]
}

/** A timeout of the role would end sessions of its other applications too: a pooler's, a listener's, a lock's. */
function isDelicate({ fleets }: Case, user: string): boolean {
  return fleets.some(
    ({ pool, recognised, guarded }) => pool.user === user && (isPooler(recognised) || guarded > 0),
  )
}

/** In how many databases a role has sessions. */
function countOwners({ last }: Case, user: string): number {
  const own = last.snapshot.sessions.filter((session) => session.user === user)
  return new Set(own.map(({ database }) => database)).size
}

export function hasTimeout({ observed }: Case, { pool }: Fleet): boolean {
  const { ms } = effectiveTimeout(observed.facts, 'idle_session_timeout', pool.user, pool.database)
  return ms === null || ms > 0
}

/** A name that a policy takes as it is written: no wildcard, and nothing that a glob would read otherwise. */
const PLAIN_NAME = /^[A-Za-z0-9_][\w. :/-]*$/

/** The age of a rule: one that may stay, or one that frees slots now if they are scarce. */
export function proposeRule(now: Case, fleet: Fleet): Timeout | undefined {
  const owner = asOwner(now, fleet)
  return isTight(now) ? proposeAge(owner) : proposeTimeout(owner)
}

/** A policy for the fleet's role, to try with `sweep` first. A superuser's sessions are never ended. */
export function policyFor(now: Case, fleet: Fleet): Remedy[] {
  const { user, database } = fleet.pool
  const timeout = proposeRule(now, fleet)
  if (user === null || database === null || timeout === undefined) return []
  if (roleOf(now, user)?.superuser) return []
  if (![user, database].every((name) => PLAIN_NAME.test(name)) || user === APPLICATION_NAME) {
    return []
  }
  const [seconds, written] = timeout
  const policy = {
    scope: { users: [user], databases: [database] },
    rules: [{ name: 'stale', state: 'idle', olderThan: written.replace('min', 'm') }],
  }
  const ended = fleetsOf(now, fleet.pool).reduce((sum, one) => sum + countOver(one, seconds), 0)
  return [
    {
      kind: 'policy',
      text: JSON.stringify(policy),
      why: `With it, Slotkeeper would now end ${ended === 0 ? 'no session' : `at most ${plural(ended, 'session')}`}. It spares holders of advisory locks, and sessions that it has seen run LISTEN. Look first: slotkeeper sweep --policy FILE.`,
    },
  ]
}

/** For clients that come back at once: few server connections that serve many clients. */
export function poolThem(now: Case, fleet: Fleet): Remedy {
  const size = proposedSize(needOf(now, fleet))
  return {
    kind: 'application',
    text: poolerLines(fleet.pool.database ?? '*', size),
    why: `PgBouncer in transaction mode (RDS: RDS Proxy) serves ${nameOf(fleet)} with ${plural(size, 'server connection')}: ${whySize(needOf(now, fleet))}. SET, LISTEN, temporary tables and advisory locks do not outlive a transaction there.`,
  }
}

/** What the pooler's operator does, in place of a timeout of the server. */
export function adjustPooler(fleet: Fleet): Remedy[] {
  const { client, user, database } = fleet.pool
  const size = proposedSize(fleet.usage.peakBusy)
  const isProxy = fleet.recognised.framework === 'rds-proxy'
  const own: Remedy = isProxy
    ? {
        kind: 'parameter',
        text: 'aws rds modify-db-proxy-target-group --db-proxy-name NAME --target-group-name default --connection-pool-config MaxConnectionsPercent=80,MaxIdleConnectionsPercent=10',
        why: 'RDS Proxy closes its idle connections by itself, down to MaxIdleConnectionsPercent. Replace NAME. Sessions that are pinned stay until their client goes.',
      }
    : {
        kind: 'application',
        text: `server_idle_timeout = 60\ndefault_pool_size = ${size}`,
        why: `In pgbouncer.ini. The pooler then closes its own idle connections, which nobody notices. The size is ${whySize(fleet.usage.peakBusy)}. Other poolers have the same settings by other names. Do not set idle_session_timeout for ${ownerOf({ user, database })}: in session mode a client would lose its session.`,
      }
  if (client === null || client === 'local') return [own]
  const isV6 = client.includes(':')
  const protection: Remedy = {
    kind: 'policy',
    text: JSON.stringify({ protect: [{ clients: [`${client}/${isV6 ? 128 : 32}`] }] }),
    why: 'Add this to the policy: to end the connections of a pooler only makes it open others.',
  }
  return [own, protection]
}
