import { poolOf } from '../../lambda/core/pool.ts'
import { printable } from '../../lambda/core/text.ts'
import { notices } from '../../lambda/notices.ts'
import { groupBy } from '../group.ts'
import { age } from '../show.ts'
import { MOST_LINES, poolCells } from '../show-causes.ts'
import { utc } from './head.ts'
import type { Picture, Sight } from './picture.ts'

/** What a look adds where there is no terminal: one short line, and a line for each thing that changed. */
export function describeLook(before: Picture, now: Picture): string[] {
  const { lost, sight } = now
  if (lost) {
    const what = before.lost?.message === lost.message ? lost.kind : lost.message
    return [printable(`${utc(lost.sinceMs)} looks fail since then: ${what}`)]
  }
  if (!sight) return []
  const changed = [
    ...(before.lost
      ? [`looks succeed again, after ${age((sight.atMs - before.lost.sinceMs) / 1000)}`]
      : []),
    ...newNotices(before, now),
    ...reaps(sight),
    ...refusals(sight),
    ...pools(before.sight, sight),
  ]
  const shown = changed.slice(0, MOST_LINES)
  const rest = changed.length - shown.length
  const all = rest > 0 ? [...shown, `and ${rest} more changes`] : shown
  return [summary(sight), ...all.map((text) => `  ${text}`)].map(printable)
}

function summary({ report, snapshot }: Sight): string {
  const { mode, slots, sessions, entry, reaped, refused } = report
  const ended =
    mode === 'reap'
      ? `reaped ${reaped.length}${refused.length > 0 ? `, ${refused.length} refused` : ''}`
      : `would reap ${report.wouldReap.length}`
  const way = entry === 'walsender' ? ", through a walsender's slot" : ''
  const inTransaction = sessions.idleInTransaction + sessions.idleInTransactionAborted
  return `${utc(snapshot.atMs)} ${slots.used} of ${slots.max - slots.reserved} slots (${slots.usedPercent} %): ${sessions.idle} idle, ${sessions.active} active, ${inTransaction} in transaction; ${ended}${way}`
}

function newNotices(before: Picture, { sight, policy }: Picture): string[] {
  const of = (seen: Sight | undefined) => (seen ? notices(seen.snapshot, policy, seen.report) : [])
  const known = new Set(of(before.sight).map(({ message }) => message))
  return of(sight).flatMap(({ message, why }) => (known.has(message) ? [] : [`WARNING: ${why}`]))
}

function reaps({ report, reaps: fresh }: Sight): string[] {
  const verb = report.mode === 'reap' ? 'reaped' : 'would reap'
  return groupBy(fresh, ({ pool, rule }) => `${poolOf(pool)}\0${rule}`).map(
    ([, members]) =>
      `${verb} ${members.length} by ${members[0].rule}: ${poolCells(members[0].pool).join(' ')}`,
  )
}

function refusals({ report: { refused } }: Sight): string[] {
  return groupBy(refused, ({ sqlstate, message }) => `${sqlstate}: ${message}`).map(
    ([why, members]) => `refused ${members.length}: ${why}`,
  )
}

/** The pools that came, went, grew or shrank. */
function pools(before: Sight | undefined, now: Sight): string[] {
  const earlier = new Map(before?.pools.map((row) => [row.key, row]))
  const later = new Map(now.pools.map((row) => [row.key, row]))
  return [...new Map([...earlier, ...later])].flatMap(([key, { pool }]) => {
    const [was, is] = [earlier.get(key)?.sessions ?? 0, later.get(key)?.sessions ?? 0]
    return was === is ? [] : [`${poolCells(pool).join(' ')}: ${was} -> ${is} sessions`]
  })
}
