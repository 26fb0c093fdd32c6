import { type Case, type Fleet, isLarge } from './case.ts'
import type { PlanOption } from './diagnosis.ts'
import { findChurn } from './findings/churn.ts'
import { memoryLimit, memoryOf } from './findings/server.ts'
import { isPerProcess, isPooler } from './recognise.ts'
import { proposeRule, type Timeout } from './remedies.ts'
import { meanBusy, needOf, proposedSize } from './sizes.ts'
import { MINUTE } from './usage.ts'
import { ago, nameOf, ownerOf, plural } from './words.ts'

/** Work that takes this share of the slots needs more of them; idle sessions do not. */
const BUSY_SHARE = 0.7

/** The four options that people discuss when a server is full, each with what was measured. */
export function makePlan(now: Case): PlanOption[] {
  return [smallerPools(now), pooler(now), stricterPolicy(now), raiseLimit(now)]
}

/** The sessions at work that no lock holds up. */
function workload({ total }: Case): number {
  return Math.max(0, total.peakBusy - total.peakWaiting)
}

function smallerPools(now: Case): PlanOption {
  const [largest] = now.fleets.filter(
    ({ usage, recognised }) => isLarge(usage.peakSessions, now.usable) && !isPooler(recognised),
  )
  if (largest === undefined) {
    return {
      option: 'smaller-pools',
      take: false,
      why: now.fleets.some(({ usage }) => isLarge(usage.peakSessions, now.usable))
        ? 'the large pool is a pooler: see its settings'
        : `no application holds a tenth of the ${now.usable} slots`,
      numbers: { sessions: now.total.members.length, peakBusy: now.total.peakBusy },
    }
  }
  const { peakSessions: sessions, peakBusy } = largest.usage
  const proposed = proposedSize(needOf(now, largest))
  const numbers = {
    sessions,
    peakBusy,
    proposed,
    meanBusy: meanBusy(now, largest.pool.database),
    clients: largest.clients,
  }
  const take = proposed * 2 <= sessions
  return {
    option: 'smaller-pools',
    take,
    why: take
      ? `${ownerOf(largest.pool)} holds ${sessions} and used ${peakBusy}: ${isPerProcess(largest.recognised) ? 'give back, or run fewer' : `${proposed} in all should do`}`
      : `${nameOf(largest)} holds ${sessions} and used ${peakBusy} at once: ${largest.usage.peakWaiting > sessions / 2 ? 'they wait for a lock, and not for slots' : 'little of it is idle'}`,
    numbers,
  }
}

function pooler(now: Case): PlanOption {
  const churn = findChurn(now).filter(({ fleet }) => !isPooler(fleet.recognised))
  const many = now.fleets
    .filter(isScattered)
    .filter(({ usage }) => isLarge(usage.members.length, now.usable))
  const each = now.hoards.filter(({ recognised }) => isPerProcess(recognised))
  const there = now.fleets.filter(({ recognised }) => isPooler(recognised))
  const busy = workload(now)
  const [fleet] = [...churn.map((one) => one.fleet), ...many, ...each]
  const proposed = proposedSize(fleet ? needOf(now, fleet) : busy)
  const numbers = {
    processes: fleet?.usage.peakSessions ?? now.total.peakSessions,
    clients: fleet?.clients ?? 0,
    peakBusy: fleet?.usage.peakBusy ?? now.total.peakBusy,
    proposed,
  }
  const isBusy = busy > now.usable * BUSY_SHARE
  const take = fleet !== undefined && !isBusy
  return {
    option: 'pooler',
    take,
    why: take
      ? `${plural(numbers.processes, 'process', 'processes')} of ${ownerOf(fleet.pool)} can share ${proposed} (${numbers.peakBusy} at work)`
      : isBusy
        ? `${busy} of ${now.usable} slots are at work at once: a pooler would make clients wait in line`
        : there.length > 0
          ? 'there is one already: see its settings'
          : 'not needed once each pool has a small maximum',
    numbers,
  }
}

/** Many hosts with a session or two each, such as functions or containers: no pool can be made smaller there. */
function isScattered({ clients, usage, recognised }: Case['fleets'][number]): boolean {
  return clients >= 5 && usage.members.length <= 2 * clients && !isPooler(recognised)
}

function stricterPolicy(now: Case): PlanOption {
  const churning = new Set(findChurn(now).map(({ fleet }) => fleet))
  const candidates = now.fleets.filter(
    (fleet) => !churning.has(fleet) && !isPooler(fleet.recognised),
  )
  const reapable = candidates.map((fleet) => countReapable(now, fleet))
  const count = reapable.reduce((sum, reaped) => sum + reaped, 0)
  const best = candidates[reapable.indexOf(Math.max(0, ...reapable))]
  const timeout = best && proposeRule(now, best)
  const isBlocked = now.total.peakWaiting > now.total.members.length / 2
  const take = isLarge(count, now.usable) && !isBlocked
  const frees = `idle over ${ago(timeout?.[0] ?? MINUTE)} frees ${plural(count, 'slot')} now`
  return {
    option: 'stricter-policy',
    take,
    why: take
      ? `${frees}: it buys time only`
      : whyNoPolicy(now, isBlocked, churning.size > 0, { count, timeout }),
    numbers: {
      idleOverMinute: now.total.idleOverMinute,
      wouldEnd: count,
      olderThan: timeout?.[1].replace('min', 'm') ?? null,
      churning: churning.size,
    },
  }
}

/** How many sessions a rule would end now: not superusers', and not those that Slotkeeper spares. */
function countReapable(now: Case, fleet: Fleet): number {
  const seconds = proposeRule(now, fleet)?.[0]
  if (seconds === undefined) return 0
  const old = fleet.usage.members.filter(
    ({ state, ageSeconds, superuser }) =>
      state === 'idle' && (ageSeconds ?? 0) > seconds && superuser === false,
  )
  return Math.max(0, old.length - fleet.guarded)
}

function whyNoPolicy(
  { total, usable, fleets }: Case,
  isBlocked: boolean,
  isChurning: boolean,
  { count, timeout }: { count: number; timeout: Timeout | undefined },
): string {
  if (isBlocked) return 'most wait for a lock: to end idle sessions would not help'
  if (isChurning) return 'what it ends comes back as fast'
  if (total.idleOverMinute === 0) return 'no session is idle for over a minute'
  if (!isLarge(total.idleOverMinute, usable)) {
    return `few are idle for long: ${total.idleOverMinute} for over a minute`
  }
  if (fleets[0] && isPooler(fleets[0].recognised)) {
    return "most are a pooler's, which closes them by its own settings"
  }
  return timeout
    ? `a rule of ${ago(timeout[0])} would end ${plural(count, 'session')} now`
    : 'sessions are used again after too long for a rule to tell'
}

function raiseLimit(now: Case): PlanOption {
  const { max } = now.slots
  const memory = memoryOf(now)
  const limit = memoryLimit(now)
  const busy = workload(now)
  const proposed = Math.max(max, 2 * busy + now.slots.reserved)
  const isNeeded = busy > now.usable * BUSY_SHARE
  const fits = limit === null || proposed <= limit
  const numbers = {
    maxConnections: max,
    usable: now.usable,
    peakBusy: busy,
    peakWaiting: now.total.peakWaiting,
    memoryMegabytes: memory === null ? null : Math.round(memory / 1024 ** 2),
    sessionsThatFit: limit === null ? null : Math.floor(limit / 1.25),
    proposed: isNeeded && fits ? proposed : null,
  }
  return {
    option: 'raise-limit',
    take: isNeeded && fits,
    why: whyRaise(now, isNeeded, fits, proposed, busy),
    numbers,
  }
}

function whyRaise(now: Case, isNeeded: boolean, fits: boolean, proposed: number, busy: number) {
  const { usable, total } = now
  const unknown =
    memoryOf(now) === null
      ? `; check the memory first: ${proposed} sessions of 5 MB and a work_mem`
      : ''
  if (isNeeded) {
    return fits
      ? `${busy} of ${usable} slots are at work at once: max_connections = ${proposed}, with a restart${unknown}`
      : `${busy} of ${usable} slots are at work, and the memory holds no ${proposed} sessions: take a larger machine`
  }
  if (total.peakWaiting > total.members.length / 4 && total.peakWaiting > 2) {
    return `${total.peakWaiting} wait for a lock: more slots would only mean more waiters`
  }
  return `${busy} of ${usable} were at work at once: more would sit idle`
}
