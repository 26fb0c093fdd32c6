import { guard } from '../../lambda/core/protection.ts'
import { identityOf, type Session } from '../../lambda/core/session.ts'
import type { End } from './process.ts'
import type { Use } from './uses.ts'

/** What became of COMMAND after its sessions were ended once. */
export type Cut = {
  /** The policy ended its sessions, or the server was restarted. */
  by: 'policy' | 'restart'
  /** How many sessions were ended, and how many of them were idle in a transaction. */
  ended: number
  endedInTransaction: number
  /** Sessions of COMMAND that were left, by the reason. */
  left: { sessions: number; why: string }[]
  /** Sessions that the server did not let the drill end. */
  refused: { sqlstate: string; message: string }[]
  /**
   * From the end of its sessions (or the end of the restart) to the next query of COMMAND, ms by the server's
   * clock. NULL: it ran none within the patience.
   */
  cameBackMs: number | null
  /** Sessions that COMMAND opened until it was at rest again, and how many of them at once. */
  newSessions: number
  newAtOnce: number
  /** It opened at once at least as many sessions as were ended, so that ending them freed nothing. */
  churn: boolean
  /** NULL while the process runs. */
  process: End | null
  /** What COMMAND wrote since then; of much output, the beginning and the end. */
  said: string[]
}

/** One session that comes back is what an application needs to work at all. */
const LEAST_CHURN = 2

/** Whether every session that could be ended is idle for this long, and there is at least one. */
export function isAtRest(
  sessions: Session[],
  idleSeconds: number,
  inTransaction: boolean,
): boolean {
  const rests = ({ ageSeconds, state }: Session) =>
    (state?.startsWith('idle') ?? false) && (ageSeconds ?? 0) >= idleSeconds
  const isStuck = ({ state }: Session) => state?.startsWith('idle in transaction') ?? false
  const exposed = sessions.filter((session) => !guard(session))
  return exposed.length > 0 && exposed.every(rests) && (!inTransaction || exposed.some(isStuck))
}

/**
 * When COMMAND first used the server after a moment: a session that was not ended, new or old, began a query.
 * @param sinceMs by the server's clock, as the result
 */
export function firstUse(
  uses: Use[],
  sinceMs: number,
  wasEnded: (use: Use) => boolean,
): number | null {
  const times = uses
    .filter((use) => !wasEnded(use))
    .flatMap(({ usedAt }) => (usedAt !== null && usedAt * 1000 > sinceMs ? [usedAt * 1000] : []))
  return times.length > 0 ? Math.min(...times) : null
}

/**
 * Counts the sessions that were opened soon after a moment.
 * @param sinceMs by the server's clock, ms since the epoch
 */
export function countAtOnce(opened: Session[], sinceMs: number, atOnceMs: number): number {
  return opened.filter(({ backendStart }) => Number(backendStart) * 1000 <= sinceMs + atOnceMs)
    .length
}

export function isChurn({
  by,
  ended,
  newAtOnce,
}: Pick<Cut, 'by' | 'ended' | 'newAtOnce'>): boolean {
  return by === 'policy' && ended >= LEAST_CHURN && newAtOnce >= ended
}

/** The key of a use, as `identityOf` makes it of a session. */
export function identityOfUse({ pid, backendStart }: Use): string {
  return identityOf({ pid, backendStart } as Session)
}
