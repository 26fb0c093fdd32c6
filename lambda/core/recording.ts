import { identityOf, type Session, type Snapshot } from './session.ts'
import { safeJson } from './text.ts'

/** One snapshot of a recording, and what the sweep did after it. */
export type Frame = {
  target: string
  /** With the holders of advisory locks and replication slots, and with what earlier snapshots showed. */
  snapshot: Snapshot
  /** The sessions that Slotkeeper ended after this snapshot, as `identityOf` writes them. */
  reaped: ReadonlySet<string>
}

/** The version of the format. A reader refuses every other one. */
export const VERSION = 1

/**
 * The states that a line writes as their place in this list. The list belongs to the version of the format.
 * Any other state is written as text.
 */
export const STATES = [
  'idle',
  'active',
  'idle in transaction',
  'idle in transaction (aborted)',
  'disabled',
  'starting',
  'fastpath function call',
] as const

/** What a session's flags mean, by their bit. The usual session, of which all was checked, has none. */
export const FLAG = {
  reaped: 1,
  listening: 2,
  inBackup: 4,
  outOfBackup: 8,
  advisoryLock: 16,
  replicationSlot: 32,
  advisoryLockUnknown: 64,
  replicationSlotUnknown: 128,
} as const

/**
 * The most bytes in a line. CloudWatch takes events of 1 MB (256 kB before 2025), but what a function writes to
 * its standard output reaches Lambda through a pipe of 65,536 bytes, and a longer line may arrive as two events.
 * The difference is for what the log adds to a line.
 */
export const MOST_LINE_BYTES = 60_000

/** The place of a part among the parts of its snapshot, from 1 on, and their number. */
type Part = [number, number]

/** Longer than any real one. Lines are measured with it, because their number is known last. */
const LONGEST_PART: Part = [99_999, 99_999]

/**
 * Writes a frame as lines of JSON: one line, or several if one were longer than `MOST_LINE_BYTES`. Each line has
 * the whole head, and a part of the sessions with the pools that they belong to. The same frame gives the same
 * lines. Ages are not written: they follow from the times.
 */
export function writeFrame(frame: Frame): string[] {
  const shares = divide(frame, frame.snapshot.sessions)
  return shares.map((sessions, index) =>
    writeLine(frame, sessions, shares.length > 1 ? [index + 1, shares.length] : undefined),
  )
}

function divide(frame: Frame, sessions: Session[]): Session[][] {
  const bytes = new TextEncoder().encode(writeLine(frame, sessions, LONGEST_PART)).length
  if (bytes <= MOST_LINE_BYTES || sessions.length <= 1) return [sessions]
  const middle = Math.ceil(sessions.length / 2)
  return [...divide(frame, sessions.slice(0, middle)), ...divide(frame, sessions.slice(middle))]
}

function writeLine({ target, snapshot, reaped }: Frame, sessions: Session[], part?: Part): string {
  const { serverVersion, atMs, ownPid, ownUser, maySignal, signaller, slots, opened } = snapshot
  const at = Math.round(atMs * 1000)
  const pools = new Map<string, number>()
  const poolOf = (session: Session): number => {
    const { user, database, application, client, superuser, owned } = session
    const pool = JSON.stringify([user, database, application, client, superuser, owned])
    const place = pools.get(pool) ?? pools.size
    pools.set(pool, place)
    return place
  }
  const written = sessions.map((session) =>
    withoutEnd([
      poolOf(session),
      session.pid,
      writeState(session.state),
      at - microseconds(session.backendStart),
      session.stateChange === null ? null : at - microseconds(session.stateChange),
      flagsOf(session, reaped),
      session.transactionSeconds === null ? null : Math.round(session.transactionSeconds * 1e6),
    ]),
  )
  return safeJson({
    slotkeeperRecording: VERSION,
    target,
    at,
    ...(part && { part }),
    server: serverVersion,
    own: [ownPid, ownUser],
    signal: [maySignal, signaller.isMember, signaller.inherits],
    slots: [slots.max, slots.reserved],
    opened,
    pools: [...pools.keys()].map((pool) => JSON.parse(pool) as unknown),
    sessions: written,
  })
}

function writeState(state: string | null): number | string | null {
  const place = (STATES as readonly unknown[]).indexOf(state)
  return place < 0 ? state : place
}

/** Microseconds since the epoch, exact, from seconds as the server writes them. */
function microseconds(instant: string): number {
  const [seconds, fraction = ''] = instant.split('.')
  return Number(seconds) * 1e6 + Number(fraction.padEnd(6, '0'))
}

function flagsOf(session: Session, reaped: ReadonlySet<string>): number {
  const { listening, backup, advisoryLock, replicationSlot } = session
  return (
    (reaped.has(identityOf(session)) ? FLAG.reaped : 0) |
    (listening ? FLAG.listening : 0) |
    (backup ? FLAG.inBackup : 0) |
    (backup === false ? FLAG.outOfBackup : 0) |
    (advisoryLock ? FLAG.advisoryLock : 0) |
    (advisoryLock === null ? FLAG.advisoryLockUnknown : 0) |
    (replicationSlot ? FLAG.replicationSlot : 0) |
    (replicationSlot === null ? FLAG.replicationSlotUnknown : 0)
  )
}

/** Without the flags and the transaction of a session that has neither. */
function withoutEnd(session: (number | string | null)[]): (number | string | null)[] {
  if (session.at(-1) !== null) return session
  return session.slice(0, session.at(-2) === 0 ? -2 : -1)
}
