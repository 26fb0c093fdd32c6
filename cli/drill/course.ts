import { setTimeout as pause } from 'node:timers/promises'
import { identities } from '../../lambda/core/churn.ts'
import { type Memory, recall, remember } from '../../lambda/core/memory.ts'
import type { Snapshot } from '../../lambda/core/session.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { look } from '../../lambda/look.ts'
import { deadlineIn, remaining } from '../../lambda/postgres/gate.ts'
import { identityOfUse, isAtRest } from './comeback.ts'
import type { DrillPolicy } from './policy.ts'
import type { Program } from './process.ts'
import type { Stage } from './stage.ts'
import { findUses, type Use } from './uses.ts'

/** How a drill goes. */
export type Plan = {
  /** How often the policy ends the idle sessions. */
  times: number
  /** How long COMMAND may take to come back, and to come to rest. */
  patienceMs: number
  /** How long a session is idle until it is ended; longer ages in the policy count as this. */
  idleMs: number
  /** Whether sessions that are idle in a transaction are ended too. */
  inTransaction: boolean
  /** Whether the server is then restarted once. */
  restart: boolean
  /** How long COMMAND may take to open its first session. */
  startMs: number
  /** Sessions that are opened this soon after others ended are opened at once. */
  atOnceMs: number
}

/** A drill under way. */
export type Course = {
  plan: Plan
  stage: Stage
  program: Program
  drilled: DrillPolicy
  /** The `id` of each library that a session showed. */
  libraries: Set<string>
  /** Leaves of a snapshot what is COMMAND's, and adds what earlier snapshots showed. */
  recall(seen: Snapshot): Snapshot
  /** Tells a person what happens. */
  tell(text: string): void
  /** Whether waiting for COMMAND would show nothing more. */
  isEnough(): boolean
}

/** The sessions of COMMAND, and the use of each. */
export type Seen = { snapshot: Snapshot; uses: Use[] }

export const LOOK_EVERY_MS = 50
const LOOK_MS = 15_000

/** A listener stays a listener, also if a later query hides its LISTEN, as in the function. */
export function remembering({ isOurs }: Stage): Course['recall'] {
  let memory: Memory | undefined
  return (seen) => {
    const whole = recall(memory, { ...seen, sessions: seen.sessions.filter(isOurs) })
    memory = remember(whole)
    return whole
  }
}

/** Looks at the sessions of COMMAND once. */
export async function see({ stage, recall, libraries }: Course): Promise<Seen> {
  const deadline = deadlineIn(LOOK_MS)
  const { link, snapshot: all } = await look(stage.gate, deadline)
  try {
    const snapshot = recall(all)
    const ours = identities(snapshot.sessions)
    const uses = (await findUses(link, remaining(deadline, LOOK_MS))).filter((use) =>
      ours.has(identityOfUse(use)),
    )
    for (const { library } of uses) if (library !== null) libraries.add(library)
    return { snapshot, uses }
  } finally {
    await stage.gate.giveBack(link)
  }
}

/**
 * Waits for the first session. Undefined: the process ended before it had one, or enough was seen.
 * @throws SlotkeeperError of kind `settings` if none comes in time
 */
export async function untilConnected(course: Course): Promise<Seen | undefined> {
  const until = performance.now() + course.plan.startMs
  while (!isOver(course)) {
    const seen = await see(course)
    if (seen.snapshot.sessions.length > 0) return seen
    if (performance.now() > until) throw neverConnected(course)
    await pause(LOOK_EVERY_MS)
  }
  return undefined
}

function neverConnected({ plan, stage }: Course): SlotkeeperError {
  const { application } = stage
  const waited = `COMMAND opened no session within ${plan.startMs / 1000} s`
  return new SlotkeeperError(
    'settings',
    application === undefined
      ? `${waited}. Does it connect to DATABASE_URL, or to PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE?`
      : `${waited} that is named ${application}. Without that name its sessions can't be told from those of others, so none was touched. Does it connect to DATABASE_URL, and keep the application_name that is in it and in PGAPPNAME?`,
  )
}

/** Looks until COMMAND is at rest, or for as long as the patience lasts. Undefined: there is nothing to wait for. */
export async function untilAtRest(course: Course): Promise<Seen | undefined> {
  const { plan, tell } = course
  const until = performance.now() + plan.patienceMs
  tell(`waiting until its sessions are idle for ${plan.idleMs / 1000} s`)
  while (!isOver(course)) {
    const seen = await see(course)
    if (rests(course, seen, plan.inTransaction)) return seen
    if (performance.now() > until) {
      tell('  they are not all idle for so long at once; ending what the policy selects now')
      return seen
    }
    await pause(LOOK_EVERY_MS)
  }
  return undefined
}

/** Whether there is nothing more to wait for. */
export function isOver({ program, isEnough }: Course): boolean {
  return program.ended() !== undefined || isEnough()
}

export function rests({ plan }: Course, { snapshot }: Seen, inTransaction = false): boolean {
  return isAtRest(snapshot.sessions, plan.idleMs / 1000, inTransaction)
}
