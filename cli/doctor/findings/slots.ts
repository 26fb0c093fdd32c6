import { adviseApplication } from '../advice.ts'
import { type Case, isFull, isLarge, isNearlyFull, peakUsed } from '../case.ts'
import { causeOf } from '../cause.ts'
import type { Finding, Remedy } from '../diagnosis.ts'
import { isPooler } from '../recognise.ts'
import { adjustPooler, endIdleNow, limitRole, poolThem } from '../remedies.ts'
import { ago, nameOf, plural, round } from '../words.ts'
import { findChurn, findKiller } from './churn.ts'
import { findIdleInTransaction, reportBlocking } from './transactions.ts'

/** No slot is left for ordinary roles, or only a few are. */
export function findFull(now: Case): Finding[] {
  const { slots, usable, observed } = now
  const peak = peakUsed(now)
  const full = observed.looks.filter((look) => isFull({ ...now, observed: only(now, look) }))
  const evidence = {
    peakUsed: peak,
    used: slots.used,
    usable,
    reserved: slots.reserved,
    available: slots.available,
    usedPercent: slots.usedPercent,
    looks: observed.looks.length,
    looksFull: full.length,
  }
  if (full.length > 0) {
    const when = full.includes(now.last)
      ? 'No slot is free'
      : `All slots were taken at ${full.length} of ${plural(observed.looks.length, 'look')}, and ${slots.available} are free now`
    return [
      {
        id: 'full',
        severity: 'critical',
        title: `${when}: ${causeOf(now)}`,
        evidence,
        remedies: firstAid(now),
      },
    ]
  }
  if (!isNearlyFull(now)) return []
  return [
    {
      id: 'nearly-full',
      severity: 'warning',
      title: `${plural(Math.max(0, usable - peak), 'slot')} left of ${usable}${peak > slots.used ? ' at the fullest moment' : ''}: ${causeOf(now)}`,
      evidence,
      remedies: firstAid(now),
    },
  ]
}

function only({ observed }: Case, look: Case['last']): Case['observed'] {
  return { ...observed, looks: [look] }
}

/** What frees slots now, what keeps the others in, and what ends it for good: from what causes it. */
function firstAid(now: Case): Remedy[] {
  const [hoard] = now.hoards
  const [churn] = findChurn(now)
  const fleet = hoard ?? churn?.fleet
  const sleepers = now.total.idleInTransaction
  return [
    ...reportBlocking(now).flatMap(({ remedies }) => remedies),
    ...(isLarge(sleepers, now.usable)
      ? findIdleInTransaction(now).flatMap(({ remedies }) => remedies)
      : []),
    // The limit first: a pool opens at once what is ended.
    ...(fleet && !isPooler(fleet.recognised) ? limitRole(now, fleet) : []),
    ...(hoard ? endIdleNow(now, hoard) : []),
    ...(churn ? findKiller(churn) : []),
    ...(fleet && !isPooler(fleet.recognised) ? adviseApplication(now, fleet).slice(0, 1) : []),
    ...(fleet && isPooler(fleet.recognised) ? adjustPooler(fleet) : []),
    ...(churn && !isPooler(churn.fleet.recognised) ? [poolThem(now, churn.fleet)] : []),
  ]
}

/** Fewer than this is no trend: a pool opens that many at once. */
const LEAST_GROWTH = 3
/** A server that fills up later than this is not an emergency, and a watch of seconds can't foretell it. */
const MOST_MINUTES = 60
const URGENT_MINUTES = 10

/** The used slots grow from look to look. */
export function findFilling(now: Case): Finding[] {
  const trend = trendOf(now)
  if (trend === undefined || isFull(now)) return []
  const { growth, perMinute, minutesLeft } = trend
  const [fastest] = [...now.fleets].sort((a, b) => gain(b) - gain(a))
  return [
    {
      id: 'filling',
      severity: minutesLeft <= URGENT_MINUTES ? 'critical' : 'warning',
      title: `The slots run out in ${minutesLeft < 1 ? 'less than a minute' : `about ${ago(minutesLeft * 60)}`}: ${growth} more in ${ago(now.watchedSeconds)}${fastest && gain(fastest) > 0 ? `, ${gain(fastest)} of them of ${nameOf(fastest)}` : ''}`,
      evidence: { growth, perMinute, minutesLeft, available: now.slots.available },
      ...(fastest && { pool: fastest.pool }),
      remedies: fastest ? slowDown(now, fastest) : [],
    },
  ]
}

function slowDown(now: Case, fleet: Case['fleets'][number]): Remedy[] {
  return isPooler(fleet.recognised)
    ? adjustPooler(fleet)
    : [...limitRole(now, fleet), ...adviseApplication(now, fleet)]
}

const gain = ({ usage }: Case['fleets'][number]) => usage.opened - usage.ended

/** The growth of the used slots, if it goes on from look to look. Undefined if it does not. */
function trendOf({ observed, slots, watchedSeconds }: Case) {
  const used = observed.looks.map(({ snapshot }) => snapshot.sessions.length)
  const growth = (used.at(-1) ?? 0) - (used[0] ?? 0)
  const peak = used.reduce((a, b) => Math.max(a, b), 0)
  const middle = used[Math.floor(used.length / 2)] ?? 0
  // One jump is a pool that opens, and what came down again was a burst.
  const goesOn = used.length >= 3 && middle > (used[0] ?? 0) && middle < (used.at(-1) ?? 0)
  if (growth < LEAST_GROWTH || peak > (used.at(-1) ?? 0) || !goesOn || watchedSeconds === 0) {
    return undefined
  }
  const perMinute = (growth / watchedSeconds) * 60
  const minutesLeft = slots.available / perMinute
  if (minutesLeft > MOST_MINUTES) return undefined
  return { growth, perMinute: round(perMinute), minutesLeft: round(minutesLeft) }
}
