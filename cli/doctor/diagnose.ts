import { poolFields, poolOf } from '../../lambda/core/pool.ts'
import { openCase } from './case.ts'
import { type Diagnosis, type PoolUse, worstFirst } from './diagnosis.ts'
import { reportChurn } from './findings/churn.ts'
import { findHoards, findNoLimit, findNoTimeouts } from './findings/hoard.ts'
import { findBlind, findCannotSignal, findNoWayIn, findTooMighty } from './findings/own-role.ts'
import { findBehindPooler, findPoolers } from './findings/poolers.ts'
import { findMemory, findSharedRole } from './findings/server.ts'
import { findAbandoned, findNeverUsed, findUnnamed } from './findings/sessions.ts'
import { findFilling, findFull } from './findings/slots.ts'
import { findIdleInTransaction, reportBlocking } from './findings/transactions.ts'
import type { Observed } from './observe.ts'
import { makePlan } from './plan.ts'
import { measureUsage, type Usage } from './usage.ts'
import { round } from './words.ts'

const FINDERS = [
  findFull,
  findFilling,
  findHoards,
  reportChurn,
  reportBlocking,
  findIdleInTransaction,
  findNeverUsed,
  findNoLimit,
  findNoTimeouts,
  findAbandoned,
  findMemory,
  findSharedRole,
  findPoolers,
  findBehindPooler,
  findUnnamed,
  findBlind,
  findNoWayIn,
  findCannotSignal,
  findTooMighty,
]

/** Concludes from what was observed. Pure: the same looks give the same diagnosis. */
export function diagnose(observed: Observed): Diagnosis {
  const now = openCase(observed)
  const { last, slots, watchedSeconds } = now
  return {
    target: observed.target,
    at: new Date(last.snapshot.atMs).toISOString(),
    watchedSeconds: round(watchedSeconds),
    server: {
      version: last.snapshot.serverVersion,
      kind: observed.facts.settings?.kind ?? 'community',
    },
    slots,
    pools: listPools(observed, watchedSeconds),
    findings: worstFirst(FINDERS.flatMap((find) => find(now))),
    plan: makePlan(now),
  }
}

function listPools({ looks }: Observed, watchedSeconds: number): PoolUse[] {
  return [...measureUsage(looks, poolOf).values()]
    .flatMap((usage) => describePool(usage, watchedSeconds))
    .sort((a, b) => b.sessions - a.sessions)
}

/** Empty if no session of it is left. */
function describePool(usage: Usage, watchedSeconds: number): PoolUse[] {
  const [example] = usage.members
  if (example === undefined) return []
  const { oldestIdleSeconds } = usage
  return [
    {
      ...poolFields(example),
      sessions: usage.members.length,
      busy: usage.busy,
      peakBusy: usage.peakBusy,
      idleInTransaction: usage.idleInTransaction,
      oldestIdleSeconds: oldestIdleSeconds === null ? null : round(oldestIdleSeconds),
      neverUsed: usage.neverUsed,
      openedPerMinute: watchedSeconds > 0 ? round((usage.opened / watchedSeconds) * 60) : 0,
    },
  ]
}
