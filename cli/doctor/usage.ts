import { identityOf, type Session } from '../../lambda/core/session.ts'
import { groupBy } from '../group.ts'
import type { Form } from './last-query.ts'
import type { Look } from './observe.ts'

/** What the contract and people call long: a session that idles for less may be about to be used. */
export const MINUTE = 60

/** How a group of sessions was used while the doctor watched. */
export type Usage = {
  /** The sessions of the last look. */
  members: Session[]
  /** The sessions of the last look that showed any: at the last one they may all be between two lives. */
  sample: Session[]
  /** The most sessions at any look. */
  peakSessions: number
  /** Running a statement at the last look. */
  busy: number
  /** The most at any look that ran a statement, or were in a transaction of less than a minute. */
  peakBusy: number
  /** The most at any look that ran a statement and waited for a lock. */
  peakWaiting: number
  idleInTransaction: number
  idleOverMinute: number
  oldestIdleSeconds: number | null
  medianIdleSeconds: number | null
  neverUsed: number
  neverUsedOverMinute: number
  /** Sessions that were opened, or ended, while the doctor watched. */
  opened: number
  ended: number
  /** The longest that a session was seen idle before it was used again. */
  longestComebackSeconds: number | null
  /** The mean time between two uses of a session. NULL if none was used. */
  meanPauseSeconds: number | null
  /** How old the oldest session is. */
  oldestSessionSeconds: number
  forms: Map<Form, number>
}

/** Measures each group of sessions over all looks. The doctor's own session is left out. */
export function measureUsage(
  looks: [Look, ...Look[]],
  keyOf: (session: Session) => string,
): Map<string, Usage> {
  const groups = new Map<string, Moment[]>()
  for (const [index, { snapshot }] of looks.entries()) {
    const others = snapshot.sessions.filter(({ pid }) => pid !== snapshot.ownPid)
    for (const [key, members] of groupBy(others, keyOf)) {
      const moments = groups.get(key) ?? looks.map((look) => ({ look, members: [] }))
      ;(moments[index] as Moment).members = members
      groups.set(key, moments)
    }
  }
  return new Map([...groups].map(([key, moments]) => [key, measure(moments)]))
}

/** The members of one group at one look. */
type Moment = { look: Look; members: Session[] }

function measure(moments: Moment[]): Usage {
  const last = moments.at(-1) as Moment
  const { members, look } = last
  const idleAges = members
    .filter(({ state }) => state === 'idle')
    .map(({ ageSeconds }) => ageSeconds ?? 0)
    .sort((a, b) => a - b)
  const traceOf = (session: Session) => look.traces.get(identityOf(session))
  const shown = moments.findLast((moment) => moment.members.length > 0) ?? last
  const unused = members.filter((session) => traceOf(session)?.neverUsed)
  const forms = new Map<Form, number>()
  for (const session of shown.members) {
    const form = shown.look.traces.get(identityOf(session))?.form
    if (form !== undefined) forms.set(form, (forms.get(form) ?? 0) + 1)
  }
  return {
    members,
    sample: shown.members,
    peakSessions: most(moments.map((moment) => moment.members.length)),
    busy: members.filter(isAtWork).length,
    peakBusy: most(moments.map((moment) => moment.members.filter(isInUse).length)),
    peakWaiting: most(moments.map(countWaiting)),
    idleInTransaction: members.filter(isInTransaction).length,
    idleOverMinute: idleAges.filter((age) => age > MINUTE).length,
    oldestIdleSeconds: idleAges.at(-1) ?? null,
    medianIdleSeconds: idleAges[Math.floor((idleAges.length - 1) / 2)] ?? null,
    neverUsed: unused.length,
    neverUsedOverMinute: unused.filter(({ ageSeconds }) => (ageSeconds ?? 0) > MINUTE).length,
    ...countTurnover(moments),
    ...measurePauses(moments),
    oldestSessionSeconds: most(members.map((session) => sessionAge(session, look))),
    forms,
  }
}

/** How long ago a session was opened, s. */
export function sessionAge({ backendStart }: Session, { snapshot }: Look): number {
  return Math.max(0, snapshot.atMs / 1000 - Number(backendStart))
}

function isAtWork({ state }: Session): boolean {
  return state === 'active' || state === 'fastpath function call'
}

export function isInTransaction({ state }: Session): boolean {
  return state === 'idle in transaction' || state === 'idle in transaction (aborted)'
}

/** A transaction that idles for over a minute is a fault, not work. */
function isInUse(session: Session): boolean {
  return isAtWork(session) || (isInTransaction(session) && (session.ageSeconds ?? 0) <= MINUTE)
}

function countWaiting({ look, members }: Moment): number {
  return members.filter((session) => look.traces.get(identityOf(session))?.waitsForLock).length
}

function countTurnover(moments: Moment[]): Pick<Usage, 'opened' | 'ended'> {
  const [first] = moments as [Moment]
  const watchedFrom = first.look.snapshot.atMs / 1000
  const seen = new Set<string>()
  const opened = new Set<string>()
  for (const session of moments.flatMap(({ members }) => members)) {
    const identity = identityOf(session)
    seen.add(identity)
    if (Number(session.backendStart) > watchedFrom) opened.add(identity)
  }
  const left = (moments.at(-1) as Moment).members.length
  return { opened: opened.size, ended: seen.size - left }
}

/** The server stamps `state_change` at each use, so a new stamp means that the session was used in between. */
function measurePauses(
  moments: Moment[],
): Pick<Usage, 'longestComebackSeconds' | 'meanPauseSeconds'> {
  const steps = moments
    .slice(1)
    .flatMap((moment, index) => pairUp(moments[index] as Moment, moment))
  const uses = steps.filter(({ was, is }) => was.stateChange !== is.stateChange)
  const comebacks = uses.filter(({ was }) => was.state === 'idle')
  const seconds = steps.reduce((sum, step) => sum + step.seconds, 0)
  return {
    longestComebackSeconds:
      comebacks.length === 0 ? null : most(comebacks.map(({ was }) => was.ageSeconds ?? 0)),
    meanPauseSeconds: uses.length === 0 ? null : seconds / uses.length,
  }
}

/** The sessions that both of two looks show. */
function pairUp(before: Moment, after: Moment): { was: Session; is: Session; seconds: number }[] {
  const earlier = new Map(before.members.map((session) => [identityOf(session), session]))
  const seconds = (after.look.snapshot.atMs - before.look.snapshot.atMs) / 1000
  return after.members.flatMap((session) => {
    const was = earlier.get(identityOf(session))
    return was === undefined ? [] : [{ was, is: session, seconds }]
  })
}

/** The maximum, and 0 for none. */
function most(numbers: number[]): number {
  return numbers.reduce((a, b) => Math.max(a, b), 0)
}
