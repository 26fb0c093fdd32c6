import { type Pool, poolFields } from './pool.ts'
import { identityOf, type Session, type Snapshot } from './session.ts'
import { reapVerdicts, type Verdict } from './verdict.ts'

/** A session that the policy would have ended, and that was used again later. */
export type UsedAgain = Pool & {
  pid: number
  /** The rule that would have ended it. */
  rule: string
  /** How long it was in its state before its next use, s: at least and at most. */
  idleSeconds: Bounds
}

export type Bounds = [least: number, most: number]

/** What observing showed in a period. */
export type Period = {
  /** By the server's clock, ms since the epoch. */
  fromMs: number
  toMs: number
  /** Whether observing began in this period: nothing is known of the time before it. */
  isFirst: boolean
  /** Sessions that the policy would have ended. One that was used in between counts again. */
  wouldEnd: number
  /** Sessions that it would have ended, in this period or before, and that were used again in this period. */
  usedAgain: number
  /** Of all that were used again; undefined if none was. */
  idleSeconds: Bounds | undefined
  /** Sessions that it would have ended, and that have not been used since. */
  stillIdle: number
}

/** What is remembered of the sweeps that observed one target. It never holds more sessions than the server. */
export type Hindsight = {
  /** The sessions that the policy would have ended and that have not been used since, by their identity. */
  condemned: ReadonlyMap<string, Condemned>
  /** The period that goes on. */
  period: Period
}

type Condemned = { session: Session; rule: string; seenMs: number }

const DAY_MS = 86_400_000

/**
 * Compares what the policy would have ended in earlier sweeps with what a snapshot shows now.
 * @param verdicts what `judge` says of this snapshot
 * @returns what to remember, who was used again since the last sweep, and once a day, at midnight UTC, the
 *   period that ended
 */
export function lookBack(
  before: Hindsight | undefined,
  snapshot: Snapshot,
  verdicts: Verdict[],
): { hindsight: Hindsight; usedAgain: UsedAgain[]; ended: Period | undefined } {
  const { atMs } = snapshot
  const { condemned, usedAgain } = compare(before?.condemned ?? new Map(), snapshot)
  let wouldEnd = 0
  for (const { session, rule, action } of reapVerdicts(verdicts)) {
    // Cancelling a query ends no session.
    if (action === 'cancel' || condemned.has(identityOf(session))) continue
    condemned.set(identityOf(session), { session, rule, seenMs: atMs })
    wouldEnd += 1
  }
  const last = before?.period ?? begin(atMs, true)
  const period: Period = {
    ...last,
    toMs: atMs,
    wouldEnd: last.wouldEnd + wouldEnd,
    usedAgain: last.usedAgain + usedAgain.length,
    idleSeconds: usedAgain.reduce(
      (bounds: Bounds | undefined, { idleSeconds }) => widen(bounds, idleSeconds),
      last.idleSeconds,
    ),
    stillIdle: condemned.size,
  }
  const isOver = dayOf(atMs) > dayOf(last.toMs)
  return {
    hindsight: { condemned, period: isOver ? begin(atMs, false) : period },
    usedAgain,
    ended: isOver ? period : undefined,
  }
}

/** Which of the condemned sessions are as they were, and which were used. Those that are gone are neither. */
function compare(
  known: Hindsight['condemned'],
  { sessions, atMs }: Snapshot,
): { condemned: Map<string, Condemned>; usedAgain: UsedAgain[] } {
  const condemned = new Map<string, Condemned>()
  const usedAgain: UsedAgain[] = []
  for (const session of sessions) {
    const identity = identityOf(session)
    const before = known.get(identity)
    if (before === undefined) continue
    const use = findUse(before, session, atMs)
    if (use === undefined) condemned.set(identity, { ...before, seenMs: atMs })
    else usedAgain.push(use)
  }
  return { condemned, usedAgain }
}

const dayOf = (ms: number) => Math.floor(ms / DAY_MS)

function begin(fromMs: number, isFirst: boolean): Period {
  const nothing = { wouldEnd: 0, usedAgain: 0, idleSeconds: undefined, stillIdle: 0 }
  return { fromMs, toMs: fromMs, isFirst, ...nothing }
}

/** Undefined if the session is as it was. */
function findUse(
  { session: then, rule, seenMs }: Condemned,
  now: Session,
  atMs: number,
): UsedAgain | undefined {
  if (now.state === then.state && now.stateChange === then.stateChange) return undefined
  const since = Number(then.stateChange)
  const most = now.stateChange === null ? atMs / 1000 - since : Number(now.stateChange) - since
  // It may have been used several times since it was last seen unchanged.
  const least = Math.min(seenMs / 1000 - since, most)
  return { pid: now.pid, ...poolFields(now), rule, idleSeconds: [tenths(least), tenths(most)] }
}

const tenths = (seconds: number) => Math.max(0, Math.round(seconds * 10) / 10)

function widen(bounds: Bounds | undefined, [least, most]: Bounds): Bounds {
  return bounds ? [Math.min(bounds[0], least), Math.max(bounds[1], most)] : [least, most]
}

/**
 * One sentence, for example `in the last 24 h the policy would have ended 312 sessions; 3 were used again, after
 * 16 to 22 minutes`.
 * @param began when observing began, as text
 */
export function tellPeriod(period: Period, began: string): string {
  const { fromMs, toMs, isFirst, wouldEnd, usedAgain, idleSeconds } = period
  const hours = Math.round((toMs - fromMs) / 3_600_000)
  const when = isFirst
    ? `since ${began}, when this environment of the function began to observe,`
    : `in the last ${hours} h`
  const ended = `${when} the policy would have ended ${wouldEnd === 0 ? 'no session' : count(wouldEnd, 'session')}`
  if (wouldEnd === 0 && usedAgain === 0) return ended
  if (idleSeconds === undefined) return `${ended}; none was used again`
  return `${ended}; ${usedAgain} ${usedAgain === 1 ? 'was' : 'were'} used again, after ${tellBounds(idleSeconds)}`
}

const UNITS: [unit: string, seconds: number][] = [
  ['second', 1],
  ['minute', 60],
  ['hour', 3600],
]
/** A unit is used from this many of it on. */
const LEAST_OF_A_UNIT = 2

/** `16 to 22 minutes`: the lower bound rounded down, the upper one rounded up. */
export function tellBounds([least, most]: Bounds): string {
  const from = inUnit(least, Math.floor)
  const to = inUnit(most, Math.ceil)
  if (from.unit !== to.unit) return `${count(from.value, from.unit)} to ${count(to.value, to.unit)}`
  return from.value === to.value
    ? count(to.value, to.unit)
    : `${from.value} to ${count(to.value, to.unit)}`
}

function inUnit(seconds: number, round: (value: number) => number) {
  const [unit, size] = UNITS.findLast(([, size]) => seconds >= LEAST_OF_A_UNIT * size) ?? [
    'second',
    1,
  ]
  return { value: round(seconds / size), unit }
}

const count = (number: number, word: string) => `${number} ${word}${number === 1 ? '' : 's'}`
