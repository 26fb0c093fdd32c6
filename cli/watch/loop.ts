import { setTimeout as pause } from 'node:timers/promises'
import type { Mode, Report } from '../../lambda/core/report.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { type Deadline, deadlineIn, SWEEP_MS } from '../../lambda/postgres/gate.ts'
import type { Picture, Subject } from './picture.ts'

/** How the person, or the system, steers the loop. */
export type Control = {
  /** Aborted when the watch is to end. */
  stop: AbortSignal
  /** Aborted when it is to end at once, whatever runs. */
  hurry: AbortSignal
  isPaused(): boolean
  /** Resolves when the watch goes on, or is to end. */
  goesOn(): Promise<void>
  /** Takes note of a sweep that begins. */
  track<T>(sweep: Promise<T>): Promise<T>
}

/** What is swept: one server, or a cluster. `S` is what a sweep of it showed. */
export type Sweepable<S> = {
  /** @throws SlotkeeperError */
  sweep(mode: Mode, deadline: Deadline): Promise<S>
  /** Closes the kept connections. */
  close(): Promise<void>
}

/** What is known after a look, whatever is watched. */
export type Known = Pick<Picture, 'target' | 'mode' | 'lost' | 'totals'>

/** How each look makes a new picture of the last. Times are on the clock of this machine, ms since the epoch. */
export type Story<P extends Known, S> = {
  begin(subject: Subject): P
  see(picture: P, swept: S, nowMs: number, startedMs: number): P
  /** @param startedMs when the look that failed began */
  lose(picture: P, error: SlotkeeperError, startedMs: number): P
}

/** Where the looks are shown. Resolves when there is room for the next. */
export type Show<P> = (before: P, now: P) => Promise<void>

/** The last picture, and whether a sweep was cut off: then it is not known what it did. */
export type Watched<P> = { picture: P; isCutOff: boolean }

/** How long the end waits for a sweep under way, ms. A sweep that reaps has to say what it ended. */
const GRACE_MS = { observe: 1_000, reap: SWEEP_MS }
/** The longest pause after a look that failed, unless looks are rarer anyway, ms. */
const LONGEST_RETRY_MS = 10_000
/** An idle connection is given back between looks that are rarer than this, ms. */
const LONGEST_IDLE_MS = 60_000

/**
 * Sweeps again and again, over one kept connection.
 * @throws SlotkeeperError if the first look fails. Later ones may: the picture says so, and the next look follows.
 */
export async function loop<P extends Known, S>(
  subject: Subject,
  { begin, see, lose }: Story<P, S>,
  target: Sweepable<S>,
  control: Control,
  show: Show<P>,
): Promise<Watched<P>> {
  let picture = begin(subject)
  let failures = 0
  while (!control.stop.aborted) {
    const before = picture
    const startedMs = clockMs()
    const answer = await sweepOnce(target, subject, control)
    if (answer === undefined) return { picture, isCutOff: true }
    if (answer instanceof SlotkeeperError) {
      if (picture.totals.looks === 0) throw answer
      failures += 1
      picture = lose(picture, answer, startedMs)
    } else {
      failures = 0
      picture = see(picture, answer, clockMs(), startedMs)
    }
    const { everyMs } = subject
    if (control.isPaused() || everyMs > LONGEST_IDLE_MS) await target.close()
    await unlessAborted(show(before, picture), control.stop)
    const elapsedMs = clockMs() - startedMs
    await rest(Math.max(0, waitMs(everyMs, failures) - elapsedMs), control.stop)
    await control.goesOn()
  }
  return { picture, isCutOff: false }
}

/** The clock of this machine, ms since the epoch. It never goes back. */
export function clockMs(): number {
  return performance.timeOrigin + performance.now()
}

async function sweepOnce<S>(
  target: Sweepable<S>,
  { mode }: Subject,
  { stop, hurry, track }: Control,
): Promise<S | SlotkeeperError | undefined> {
  const begun = track(target.sweep(mode, deadlineIn(SWEEP_MS)))
  const sweeping = begun.catch((error: unknown) => {
    if (error instanceof SlotkeeperError) return error
    throw error
  })
  const answer = await unlessAborted(sweeping, stop)
  if (!stop.aborted) return answer
  return Promise.race([sweeping, rest(GRACE_MS[mode], hurry)])
}

/** After failures the looks become rarer, so that a wrong password does not fill the server's log. */
export function waitMs(everyMs: number, failures: number): number {
  const longest = Math.max(everyMs, LONGEST_RETRY_MS)
  return Math.min(longest, everyMs * 2 ** Math.max(0, Math.min(failures, 20) - 1))
}

/**
 * Whether a look came in through the reserve. The next one can do so too; so the connection is given back, and
 * those who have only the reserve find it free.
 */
export function isInReserve({ entry, slots }: Pick<Report, 'entry' | 'slots'>): boolean {
  return entry === 'client' && slots.used > slots.max - slots.reserved
}

function rest(ms: number, signal: AbortSignal): Promise<undefined> {
  return pause(ms, undefined, { signal }).catch(() => undefined)
}

/** Waits for the work, but no longer than until the signal. Leaves no listener behind. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return undefined
  let onAbort = (): void => undefined
  const aborted = new Promise<undefined>((resolve) => {
    onAbort = () => resolve(undefined)
    signal.addEventListener('abort', onAbort)
  })
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', onAbort))
}
