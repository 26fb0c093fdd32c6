import { type Pool, poolFields, poolOf } from '../../lambda/core/pool.ts'
import type { Report } from '../../lambda/core/report.ts'
import { identityOf, type Session, type Snapshot } from '../../lambda/core/session.ts'
import type { SpareReason, Verdict } from '../../lambda/core/verdict.ts'
import { ageOf, greatest, sleeps } from '../causes.ts'
import { groupBy } from '../group.ts'
import type { Next } from './next.ts'

/** One pool, as a look showed it. */
export type PoolRow = {
  key: string
  pool: Pool
  sessions: number
  busy: number
  idle: number
  inTransaction: number
  /** NULL if no session is idle. */
  oldestIdleSeconds: number | null
  /** Sessions that a look saw and that were opened in the last minute. A session that lived between two looks is missed. */
  openedPerMinute: number
  verdict: PoolVerdict
}

/** What the policy says of a pool, or did to it: the most important thing of all its sessions. */
export type PoolVerdict =
  | { is: 'reaped' | 'refused' | 'due'; sessions: number }
  | { is: 'next'; seconds: number; rule: string }
  | { is: 'spared'; reason: SpareReason }
  | { is: 'left'; why: string }

/** A session that a look saw, and when it was opened, by the server's clock. */
export type Birth = { pool: string; identity: string; atMs: number }

const MINUTE_MS = 60_000

/** Adds the sessions of a snapshot that were opened in the last minute, and forgets the older ones. */
export function followBirths(births: Birth[], { atMs, sessions, ownPid }: Snapshot): Birth[] {
  const isRecent = (birth: Birth) => birth.atMs > atMs - MINUTE_MS
  const known = new Set(births.map(({ identity }) => identity))
  const born = sessions
    .filter((session) => session.pid !== ownPid && !known.has(identityOf(session)))
    .map((session) => ({
      pool: poolOf(session),
      identity: identityOf(session),
      atMs: Number(session.backendStart) * 1000,
    }))
  return [...births, ...born].filter(isRecent)
}

/** One row for each pool, without the watch's own session. */
export function poolRows(
  { sessions, ownPid }: Snapshot,
  verdicts: Verdict[],
  report: Report,
  next: Next[],
  births: Birth[],
): PoolRow[] {
  const opened = new Map(groupBy(births, ({ pool }) => pool))
  const fates: Fates = {
    reaped: new Set(report.reaped.map(({ pid }) => pid)),
    refused: new Set(report.refused.map(({ pid }) => pid)),
    verdicts: new Map(verdicts.map((verdict) => [verdict.session.pid, verdict])),
    next: new Map(next.map((one) => [one.session.pid, one])),
  }
  const others = sessions.filter(({ pid }) => pid !== ownPid)
  return groupBy(others, poolOf).map(([key, members]) => {
    const idle = members.filter(({ state }) => state === 'idle')
    const inTransaction = members.filter(sleeps).length
    return {
      key,
      pool: poolFields(members[0]),
      sessions: members.length,
      busy: members.length - idle.length - inTransaction,
      idle: idle.length,
      inTransaction,
      oldestIdleSeconds: idle.length > 0 ? greatest(idle.map(ageOf)) : null,
      openedPerMinute: opened.get(key)?.length ?? 0,
      verdict: verdictOf(members, fates),
    }
  })
}

type Fates = {
  reaped: ReadonlySet<number>
  refused: ReadonlySet<number>
  verdicts: ReadonlyMap<number, Verdict>
  next: ReadonlyMap<number, Next>
}

function verdictOf(members: Session[], { reaped, refused, verdicts, next }: Fates): PoolVerdict {
  const count = (test: (pid: number) => boolean) => members.filter(({ pid }) => test(pid)).length
  const counts = {
    reaped: count((pid) => reaped.has(pid)),
    refused: count((pid) => refused.has(pid)),
    due: count((pid) => next.get(pid)?.seconds === 0),
  }
  for (const is of ['reaped', 'refused', 'due'] as const) {
    if (counts[is] > 0) return { is, sessions: counts[is] }
  }
  const waits = members.flatMap(({ pid }) => next.get(pid) ?? [])
  if (waits.length > 0) {
    const { seconds, rule } = waits.reduce((a, b) => (b.seconds < a.seconds ? b : a))
    return { is: 'next', seconds, rule }
  }
  const all = members.flatMap(({ pid }) => verdicts.get(pid) ?? [])
  const spared = all.find((verdict) => verdict.verdict === 'spare')
  return spared ? { is: 'spared', reason: spared.reason } : { is: 'left', why: all[0]?.why ?? '' }
}

export const SORTS = ['sessions', 'idle', 'oldest', 'opened', 'name'] as const
export type Sort = (typeof SORTS)[number]

const KEYS: Record<Exclude<Sort, 'name'>, (row: PoolRow) => number> = {
  sessions: ({ sessions }) => sessions,
  idle: ({ idle }) => idle,
  oldest: ({ oldestIdleSeconds }) => oldestIdleSeconds ?? -1,
  opened: ({ openedPerMinute }) => openedPerMinute,
}

/** The greatest first. Pools that are alike stay in the order of their names, so that rows do not jump. */
export function sortPools(rows: PoolRow[], sort: Sort): PoolRow[] {
  const byName = (a: PoolRow, b: PoolRow) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
  if (sort === 'name') return [...rows].sort(byName)
  return [...rows].sort((a, b) => KEYS[sort](b) - KEYS[sort](a) || byName(a, b))
}
