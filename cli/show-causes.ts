import type { Pool } from '../lambda/core/pool.ts'
import type { Snapshot } from '../lambda/core/session.ts'
import { printable } from '../lambda/core/text.ts'
import type { Waiting } from '../lambda/postgres/blocking.ts'
import { ageOf, findHoldings, findSleepers, greatest, type Sleeper } from './causes.ts'
import { groupBy } from './group.ts'
import { age, clock, paint, table } from './show.ts'

/** As many lines as one can read at a glance. `--all` shows the rest. */
export const MOST_LINES = 10

/** The columns that name a pool. */
export const POOL_HEAD = ['user@database', 'application', 'client']

export function poolCells({ user, database, application, client }: Pool): string[] {
  return [`${user ?? '-'}@${database ?? '-'}`, application || '-', client]
}

/** Which pools hold the slots, or held them before the reap. The largest comes first. */
export function showHoldings(snapshot: Snapshot, verb: 'holds' | 'held', all: boolean): string[] {
  const holdings = findHoldings(snapshot)
  if (holdings.length === 0) return []
  const shown = all ? holdings : holdings.slice(0, MOST_LINES)
  const rest = holdings.slice(shown.length)
  return [
    '',
    paint('bold', `What ${verb} the slots`),
    table(
      ['>sessions', '>idle', '>idle up to', '>since (UTC)', ...POOL_HEAD],
      shown.map(({ pool, sessions, idle, oldestIdleSeconds, since }) => [
        String(sessions),
        String(idle),
        oldestIdleSeconds === null ? '-' : age(oldestIdleSeconds),
        clock(since, snapshot.atMs),
        ...poolCells(pool),
      ]),
    ),
    ...(rest.length > 0
      ? [
          `and ${rest.reduce((sum, { sessions }) => sum + sessions, 0)} more sessions in ${rest.length} more pools (--all lists them)`,
        ]
      : []),
  ]
}

/** The sessions that are idle in a transaction and were not reaped, and the sessions that wait for them. */
export function showSleepers(
  snapshot: Snapshot,
  waiting: Waiting[] | string,
  reaped: { pid: number }[],
  all: boolean,
): string[] {
  const ended = new Set(reaped.map(({ pid }) => pid))
  const isKnown = typeof waiting !== 'string'
  const sleepers = findSleepers(snapshot, isKnown ? waiting : []).filter(
    ({ session }) => !ended.has(session.pid),
  )
  if (sleepers.length === 0) return []
  const shown = all ? sleepers : sleepers.slice(0, MOST_LINES)
  const hidden = sleepers.length - shown.length
  return [
    '',
    paint('bold', 'Idle in a transaction'),
    table(
      ['>pid', '>idle for', '>open for', '>blocks', ...POOL_HEAD],
      shown.map(({ session, waiting }) => [
        String(session.pid),
        age(ageOf(session)),
        age(session.transactionSeconds ?? 0),
        isKnown ? String(waiting.length) : '?',
        ...poolCells(session),
      ]),
    ),
    ...(isKnown ? [] : [`Could not read which sessions they block: ${printable(waiting)}`]),
    ...(hidden > 0 ? [`and ${hidden} more (--all lists them)`] : []),
    ...shown.filter(({ waiting }) => waiting.length > 0).flatMap(showWaiting),
  ]
}

/** The sessions that one sleeper blocks, by pool. */
function showWaiting({ session: { pid }, waiting }: Sleeper): string[] {
  const pools = groupBy(waiting, ({ session }) => poolCells(session).join(' '))
  return pools.map(([pool, members]) => {
    const longest = greatest(members.map(({ seconds }) => seconds ?? 0))
    const pids = members.map(({ session }) => session.pid)
    return `${paint('yellow', `${pid} blocks ${members.length}`)} of ${printable(pool)}, for up to ${age(longest)}: ${pids.join(', ')}`
  })
}
