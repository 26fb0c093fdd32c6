import { setTimeout as pause } from 'node:timers/promises'
import { identities } from '../../lambda/core/churn.ts'
import { identityOf, type Session } from '../../lambda/core/session.ts'
import { deadlineIn, SWEEP_MS } from '../../lambda/postgres/gate.ts'
import { type SweepResult, sweep } from '../../lambda/sweep.ts'
import { groupBy } from '../group.ts'
import { type Cut, countAtOnce, firstUse, identityOfUse, isChurn } from './comeback.ts'
import { type Course, isOver, LOOK_EVERY_MS, rests, see, untilAtRest } from './course.ts'
import { linesOf } from './output.ts'
import { countSessions, endWords } from './words.ts'

/** The moment at which sessions ended, and which. */
type Blow = {
  by: Cut['by']
  /** A query that began later is a sign of life; ms by the server's clock. */
  usedAfterMs: number
  /** From when the way back is measured. */
  sinceMs: number
  before: Session[]
  gone: ReadonlySet<string>
}

/**
 * Ends the idle sessions once, as the policy says, and watches what COMMAND does.
 * @param name of the cut, for people
 * @returns the reason if there was nothing to end
 */
export async function cutOnce(course: Course, name: string): Promise<Cut | string> {
  const { plan, program, tell } = course
  const seen = await untilAtRest(course)
  const until = performance.now() + plan.patienceMs
  // It came when COMMAND was at rest, so it tells the most of what keeps the policy from its sessions.
  let first: SweepResult | undefined
  while (seen && !isOver(course)) {
    program.output.mark()
    const swept = await reapOnce(course)
    first ??= swept
    const { atMs, sessions } = swept.snapshot
    const { reaped, refused } = swept.report
    if (reaped.length > 0) {
      tell(`${name}: ended ${reaped.length} of ${countSessions(sessions.length)}`)
      const gone = victimsOf(swept)
      const blow = {
        by: 'policy',
        usedAfterMs: atMs,
        sinceMs: atMs,
        before: sessions,
        gone,
      } as const
      return {
        ...(await watch(course, blow)),
        left: leftBy(swept),
        refused: refused.map(({ sqlstate, message }) => ({ sqlstate, message })),
      }
    }
    if (performance.now() > until) return nothingToEnd(first)
    await pause(LOOK_EVERY_MS)
  }
  return endedBefore(course, name)
}

/** Restarts the server once, which ends every session, and watches what COMMAND does. */
export async function restartOnce(course: Course, name: string): Promise<Cut | string> {
  const { program, stage, tell } = course
  const seen = await untilAtRest(course)
  if (seen === undefined) return endedBefore(course, name)
  const { atMs: usedAfterMs, sessions: before } = seen.snapshot
  program.output.mark()
  await stage.restart?.()
  tell(`${name}: ended ${countSessions(before.length)}`)
  const { atMs: sinceMs } = (await see(course)).snapshot
  return watch(course, { by: 'restart', usedAfterMs, sinceMs, before, gone: identities(before) })
}

/** One sweep over the sessions of COMMAND, with everything that makes a sweep safe. */
function reapOnce({ stage, drilled, recall }: Course): Promise<SweepResult> {
  const { target, gate } = stage
  const order = { target, policy: drilled.policy, mode: 'reap' as const, recall }
  return sweep(gate, order, deadlineIn(SWEEP_MS))
}

async function watch(course: Course, blow: Blow): Promise<Cut> {
  const { plan, program, tell } = course
  const { by, sinceMs, before, gone } = blow
  const { usedAtMs, opened } = await watchUntilBack(course, blow)
  const process = program.ended() ?? null
  if (process) await program.lastWords()
  const newAtOnce = countAtOnce(opened, sinceMs, plan.atOnceMs)
  const isInTransaction = ({ state }: Session) => state?.startsWith('idle in') ?? false
  const cut: Cut = {
    by,
    ended: gone.size,
    endedInTransaction: before.filter(
      (session) => gone.has(identityOf(session)) && isInTransaction(session),
    ).length,
    left: [],
    refused: [],
    cameBackMs: usedAtMs === null ? null : Math.max(0, Math.round(usedAtMs - sinceMs)),
    newSessions: opened.length,
    newAtOnce,
    churn: isChurn({ by, ended: gone.size, newAtOnce }),
    process,
    said: linesOf(program.output.sinceMark()),
  }
  tell(`  ${fate(cut)}`)
  return cut
}

function fate({ cameBackMs, newSessions, process }: Cut): string {
  const back =
    cameBackMs === null
      ? 'it did not come back'
      : `it came back after ${cameBackMs} ms, with ${countSessions(newSessions, 'new ')}`
  return process === null ? back : `${back}; its process ended (${endWords(process)})`
}

/**
 * Looks until COMMAND is back and at rest again, has ended, or the patience is over. Under a load of its own
 * it is never at rest, so then it is watched for as long as a rest takes.
 */
async function watchUntilBack(
  course: Course,
  { usedAfterMs, before, gone }: Blow,
): Promise<{ usedAtMs: number | null; opened: Session[] }> {
  const { plan } = course
  const known = identities(before)
  const opened = new Map<string, Session>()
  let usedAtMs: number | null = null
  const patientUntil = performance.now() + plan.patienceMs
  let until = patientUntil
  for (;;) {
    // Before the look, so that the look sees what the process did last.
    const isLast = isOver(course)
    const seen = await see(course)
    const added = seen.snapshot.sessions.filter((session) => !known.has(identityOf(session)))
    const counted = opened.size
    for (const session of added) opened.set(identityOf(session), session)
    const wasBack = usedAtMs !== null
    usedAtMs ??= firstUse(seen.uses, usedAfterMs, (use) => gone.has(identityOfUse(use)))
    const isBack = usedAtMs !== null
    // A pool may take its time to open the rest of its sessions.
    const isNews = isBack && (!wasBack || opened.size > counted)
    if (isNews) until = Math.min(patientUntil, performance.now() + plan.idleMs + LOOK_EVERY_MS)
    const isPast = isLast || performance.now() > until
    if (isPast || (isBack && rests(course, seen))) {
      return { usedAtMs, opened: [...opened.values()] }
    }
    await pause(LOOK_EVERY_MS)
  }
}

function victimsOf({ report, snapshot }: SweepResult): ReadonlySet<string> {
  const pids = new Set(report.reaped.map(({ pid }) => pid))
  return identities(snapshot.sessions.filter(({ pid }) => pids.has(pid)))
}

/** The sessions that the policy left, by the reason. */
function leftBy({ verdicts }: SweepResult): Cut['left'] {
  const left = verdicts.filter(({ verdict }) => verdict !== 'reap')
  return groupBy(left, ({ why }) => why).map(([why, { length }]) => ({ sessions: length, why }))
}

function nothingToEnd(swept: SweepResult): string {
  if (swept.verdicts.length === 0) return 'nothing to end: COMMAND has no session'
  const reasons = leftBy(swept).map(({ sessions, why }) => `${countSessions(sessions)}: ${why}`)
  const refused = swept.report.refused.map(({ sqlstate, message }) => `${sqlstate} ${message}`)
  return `nothing to end: the policy leaves every session of COMMAND (${[...reasons, ...refused].join('; ')})`
}

function endedBefore({ program }: Course, name: string): string {
  const end = program.ended()
  if (end === undefined) return `enough was seen before ${name}`
  return `COMMAND ended by itself (${end ? endWords(end) : ''}) before ${name}`
}
