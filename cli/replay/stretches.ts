import type { Frame } from '../../lambda/core/recording.ts'
import { identityOf, type Session } from '../../lambda/core/session.ts'
import type { Closed, Stretch } from './history.ts'
import type { PoolHistories } from './pools.ts'
import { thousandth } from './rounding.ts'

/** Follows each session through the frames. It keeps the sessions of the last frame only. */
export type Stretches = {
  /**
   * Compares a frame with the one before.
   * @param close is called for each stretch that is over now, before the new ones begin
   * @returns the stretches of the sessions, in the frame's order
   */
  follow(frame: Frame, close: (closed: Closed) => void): Stretch[]
  /** Ends the recording: no stretch that is still open can be decided. */
  end(close: (closed: Closed) => void): void
}

export function createStretches(pools: PoolHistories): Stretches {
  // Two sessions of one snapshot never have the same pid.
  let open = new Map<number, Stretch>()
  return {
    follow({ snapshot: { sessions, atMs, ownPid }, reaped }, close) {
      const next = new Map<number, Stretch>()
      const current = sessions.map((session) => {
        const last = open.get(session.pid)
        const stretch = continued(last, session) ?? begin(session, pools, last)
        if (last !== undefined && stretch !== last && !last.isOwn) {
          close(over(last, session, atMs))
        }
        stretch.isOwn = session.pid === ownPid
        stretch.session = session
        stretch.seenAtMs = atMs
        if (reaped.size > 0 && reaped.has(identityOf(session))) stretch.reapedByRecorder = true
        open.delete(session.pid)
        next.set(session.pid, stretch)
        pools.see(stretch, stretch !== last)
        return stretch
      })
      for (const gone of open.values()) if (!gone.isOwn) close(over(gone, undefined, atMs))
      open = next
      return current
    },
    end(close) {
      for (const stretch of open.values()) {
        if (stretch.isOwn) continue
        const age = stretch.session.ageSeconds ?? 0
        close({ stretch, fate: 'undecided', bounds: [age, age] })
      }
      open = new Map()
    },
  }
}

/** The last stretch, if the session is still in it. */
function continued(last: Stretch | undefined, session: Session): Stretch | undefined {
  if (last === undefined) return undefined
  const { backendStart, state, stateChange } = last.session
  const isSame =
    session.stateChange === stateChange &&
    session.state === state &&
    session.backendStart === backendStart
  return isSame ? last : undefined
}

function begin(session: Session, pools: PoolHistories, last: Stretch | undefined): Stretch {
  return {
    session,
    seenAtMs: 0,
    isOwn: false,
    pool: pools.of(session, last?.pool),
    step: 0,
    reapedByRecorder: false,
    reaps: [],
    declined: [],
  }
}

/** @param now the session that has its pid now */
function over(stretch: Stretch, now: Session | undefined, atMs: number): Closed {
  const { session, seenAtMs, reapedByRecorder } = stretch
  const age = thousandth(session.ageSeconds ?? 0)
  const isUsed = now?.backendStart === session.backendStart
  return {
    stretch,
    fate: isUsed ? 'used' : reapedByRecorder ? 'undecided' : 'ended',
    bounds: [age, thousandth(age + (atMs - seenAtMs) / 1000)],
  }
}
