import type { Frame } from '../../lambda/core/recording.ts'
import type { Session, Snapshot } from '../../lambda/core/session.ts'
import { session, snapshot } from './session.ts'

/** When the generated recordings begin. */
export const START_MS = Date.parse('2026-01-01T00:00:00.000Z')

/** What one client does, in seconds after the start. It may have begun before it. */
export type Script = {
  /** Above 1: that is the pid of the session that takes the snapshots. */
  pid: number
  opens: number
  /** Each is a busy time from its first to its last second; one number is a moment. */
  uses?: (number | [from: number, to: number])[]
  /** It is gone from this second on. */
  closes?: number
  /** The state in its busy times. */
  busyState?: string
  is?: Partial<Session>
}

export const at = (seconds: number) => new Date(START_MS + seconds * 1000).toISOString()

const instant = (seconds: number) => `${START_MS / 1000 + seconds}.000000`

/** The snapshot that a server gives at a moment. */
export function frameAt(
  seconds: number,
  scripts: Script[],
  different: Partial<Snapshot> = {},
  reaped: string[] = [],
): Frame {
  const present = scripts.filter(
    ({ opens, closes = Number.POSITIVE_INFINITY }) => opens <= seconds && seconds < closes,
  )
  return {
    target: 'shop',
    snapshot: snapshot(
      present.map((script) => sessionAt(seconds, script)),
      { atMs: START_MS + seconds * 1000, ...different },
    ),
    reaped: new Set(reaped),
  }
}

function sessionAt(seconds: number, { pid, opens, uses = [], busyState, is }: Script): Session {
  const changes = uses
    .map((use) => (typeof use === 'number' ? ([use, use] as const) : use))
    .filter(([from]) => from <= seconds)
  const [from, to] = changes.at(-1) ?? [opens, opens]
  const busy = seconds < to
  const changed = busy ? from : to
  return session({
    pid,
    state: busy ? (busyState ?? 'active') : 'idle',
    backendStart: instant(opens),
    stateChange: instant(changed),
    ageSeconds: seconds - changed,
    ...is,
  })
}

/** A snapshot each `every` seconds, from 0 to `until`. */
export function frames(
  every: number,
  until: number,
  scripts: Script[],
  different: Partial<Snapshot> = {},
): Frame[] {
  return Array.from({ length: Math.floor(until / every) + 1 }, (_, index) =>
    frameAt(index * every, scripts, different),
  )
}

/** The identity of a script's session, as `identityOf` writes it. */
export const identity = ({ pid, opens }: Script) => `${pid} ${instant(opens)}`
