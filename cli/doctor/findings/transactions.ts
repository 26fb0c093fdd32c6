import type { Session } from '../../../lambda/core/session.ts'
import { type Blocker, findBlockers } from '../blockers.ts'
import { type Case, roleOf } from '../case.ts'
import type { Finding, FindingPool, Remedy } from '../diagnosis.ts'
import { identifier, literal } from '../quote.ts'
import { effectiveTimeout } from '../timeouts.ts'
import { isInTransaction, MINUTE } from '../usage.ts'
import { ago, ownerOf, plural, round, sessionName } from '../words.ts'

const END_TRANSACTIONS: Remedy = {
  kind: 'application',
  text: 'commit or roll back before every call to another service,\nand in a finally block',
  why: 'The program began a transaction and went to do something else, or forgot it after an error. Until it ends, its locks stay, and VACUUM cannot remove rows that were deleted since then.',
}

/** Each group of one role in one database that is idle in a transaction for over a minute. */
export function findIdleInTransaction(now: Case): Finding[] {
  const sleepers = now.last.snapshot.sessions.filter(
    (session) => isInTransaction(session) && (session.ageSeconds ?? 0) > MINUTE,
  )
  if (sleepers.length === 0) return []
  const oldest = sleepers.reduce((a, b) => ((a.ageSeconds ?? 0) > (b.ageSeconds ?? 0) ? a : b))
  const owners = [...new Set(sleepers.map(ownerOf))]
  return [
    {
      id: 'idle-in-transaction',
      severity: 'warning',
      title: `${plural(sleepers.length, 'session')} of ${owners.slice(0, 3).join(', ')}${owners.length > 3 ? ' and others' : ''} ${sleepers.length === 1 ? 'is' : 'are'} idle in a transaction, up to ${ago(oldest.ageSeconds)}`,
      evidence: {
        sessions: sleepers.length,
        oldestSeconds: round(oldest.ageSeconds ?? 0),
        pids: sleepers.slice(0, 20).map(({ pid }) => pid),
      },
      pool: poolOfSession(oldest),
      remedies: [
        END_TRANSACTIONS,
        ...limitTransaction(now, oldest, sleepers.length),
        sleepers.length === 1
          ? endSession(oldest, 'Ends it. Its transaction is rolled back.')
          : endSleepers(oldest, sleepers),
      ],
    },
  ]
}

/** A minute is more than any of them that was used again needed, and it is the least that was complained of. */
function limitTransaction(now: Case, { user, database }: Session, count: number): Remedy[] {
  const name = 'idle_in_transaction_session_timeout'
  const { ms } = effectiveTimeout(now.observed.facts, name, user, database)
  if (user === null || ms === null || ms > 0 || roleOf(now, user) === undefined) return []
  return [
    {
      kind: 'sql',
      text: `ALTER ROLE ${identifier(user)} SET ${name} = '60s';`,
      why: `The server then ends such a session after 60 s, which ${plural(count, 'session')} now ${count === 1 ? 'exceeds' : 'exceed'}, and rolls its transaction back. It applies to new sessions only. Programs that wait longer inside a transaction, such as pg_dump's helpers, need a longer one.`,
    },
  ]
}

/** All that sleep in one database with the oldest one's role. */
function endSleepers({ user, database }: Session, sleepers: Session[]): Remedy {
  const same = sleepers.filter((other) => other.user === user && other.database === database)
  return {
    kind: 'sql',
    text: `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE usename = ${literal(user ?? '')} AND datname = ${literal(database ?? '')}
   AND state LIKE 'idle in transaction%' AND state_change < now() - interval '1min';`,
    why: `Ends ${plural(same.length, 'session')} of ${ownerOf({ user, database })}. Their transactions are rolled back: what they had not committed is lost.`,
  }
}

/** The same session, in the same transaction: another one may have its pid by now. */
function endSession(session: Session, why: string): Remedy {
  return { kind: 'sql', text: sqlFor('pg_terminate_backend', session), why }
}

function sqlFor(call: 'pg_terminate_backend' | 'pg_cancel_backend', session: Session): string {
  const { pid, backendStart } = session
  return `SELECT ${call}(pid) FROM pg_stat_activity\n WHERE pid = ${pid}\n   AND backend_start = to_timestamp(${backendStart});`
}

/** A session that keeps others waiting for a lock. */
export function reportBlocking(now: Case): Finding[] {
  return findBlockers(now.last).map((blocker) => {
    const { session, waiting, longestSeconds } = blocker
    const does = isInTransaction(session)
      ? `idle in a transaction for ${ago(session.ageSeconds)}`
      : `${session.state} for ${ago(session.ageSeconds)}`
    return {
      id: 'blocking' as const,
      severity: 'critical' as const,
      title: `${sessionName(session)}, ${does}, keeps ${plural(waiting.length, 'other')} waiting for up to ${ago(longestSeconds)}`,
      evidence: {
        blocker: describe(session),
        waiting: waiting.slice(0, 20).map(describe),
        waitingCount: waiting.length,
        longestWaitSeconds: round(longestSeconds),
      },
      pool: poolOfSession(session),
      remedies: [
        ...(isInTransaction(session)
          ? [endSession(session, whyEnd(blocker)), END_TRANSACTIONS]
          : unblock(blocker)),
      ],
    }
  })
}

const LOCK_TIMEOUT: Remedy = {
  kind: 'application',
  text: "SET lock_timeout = '3s';",
  why: 'Before a statement that changes a table, in the program that runs it. It then gives up after 3 s and keeps nobody waiting; try it again.',
}

/** What is at work may be needed, such as a dump. What waits for it, and keeps all others waiting, can try again. */
function unblock(blocker: Blocker): Remedy[] {
  const { queueHead } = blocker
  if (queueHead === undefined) return [endSession(blocker.session, whyEnd(blocker))]
  const { pid } = blocker.session
  const { session, behind } = queueHead
  const cancel: Remedy = {
    kind: 'sql',
    text: sqlFor('pg_cancel_backend', session),
    why: `Cancels the statement of ${sessionName(session)}, which waits too. ${plural(behind, 'session')} behind it can go on, and pid ${pid} can finish its work. If that work is not needed, end pid ${pid} instead: SELECT pg_terminate_backend(${pid});`,
  }
  return [cancel, LOCK_TIMEOUT]
}

function whyEnd({ session, waiting }: Blocker): string {
  const what = isInTransaction(session)
    ? 'Its transaction is rolled back'
    : 'Its statement is canceled, and its transaction is rolled back'
  return `${what}, and ${plural(waiting.length, 'session')} can go on. Run it as a role with pg_signal_backend${session.superuser ? '; this session needs a superuser' : ''}.`
}

function poolOfSession({ user, database, application, client }: Session): FindingPool {
  return { user, database, application, client }
}

function describe(session: Session) {
  const { pid, user, database, application, client, state, ageSeconds } = session
  return { pid, user, database, application, client, state, seconds: round(ageSeconds ?? 0) }
}
