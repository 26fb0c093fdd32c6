import * as v from 'valibot'
import { type Parsed, parsed, refused } from './parsed.ts'
import { FLAG, type Frame, STATES, VERSION } from './recording.ts'
import { brief, describe } from './schema.ts'
import { identityOf, type Session, secondsSince } from './session.ts'

/** Reads the lines of a recording, one after the other. A problem says what is wrong, but not in which line. */
export type FrameReader = {
  /** The value is undefined for a part of a frame whose other parts are still to come. */
  read(line: string): Parsed<Frame | undefined>
  /** To be called after the last line: refuses frames with parts that never came. */
  end(): Parsed<undefined>
}

const KEY = 'slotkeeperRecording'

/** Whether a line of a log belongs to a recording. A log has other lines between them. */
export function isRecordingLine(line: string): boolean {
  // Within a text of JSON, a quotation mark has a backslash before it.
  return line.includes(`"${KEY}":`)
}

/**
 * Creates a reader. The parts of a frame may come in any order, and mixed with those of others: a frame is known
 * by its target and its time.
 */
export function createFrameReader(): FrameReader {
  const unfinished = new Map<string, Unfinished>()
  return {
    read(line) {
      const read = readLine(line)
      if (!read.ok) return read
      const { frame, part } = read.value
      if (part === undefined) return parsed(frame)
      const [place, count] = part
      const key = `${frame.target}\0${frame.snapshot.atMs}`
      const { parts } = unfinished.get(key) ?? { parts: new Map<number, Frame>() }
      const known = unfinished.get(key)?.count ?? count
      if (place < 1 || place > count || known !== count || parts.has(place)) {
        return refused(
          `part: found ${place} of ${count} for ${told(frame)}, of which ${[...parts.keys()].join(', ') || 'none'} of ${known} came before`,
        )
      }
      parts.set(place, frame)
      unfinished.set(key, { count, parts })
      if (parts.size < count) return parsed(undefined)
      unfinished.delete(key)
      return parsed(join(frame, parts))
    },
    end() {
      const problems = [...unfinished.values()].map(({ count, parts }) => {
        const [some] = parts.values()
        return `${told(some as Frame)} is not whole: only ${parts.size} of its ${count} parts are there`
      })
      return problems.length === 0 ? parsed(undefined) : refused(...problems)
    },
  }
}

/** The parts of one frame that came so far, by their place. */
type Unfinished = { count: number; parts: Map<number, Frame> }

function told({ target, snapshot }: Frame): string {
  return `the snapshot of target ${brief(target)} with "at":${Math.round(snapshot.atMs * 1000)}`
}

function join(frame: Frame, parts: ReadonlyMap<number, Frame>): Frame {
  const ordered = [...parts].sort(([a], [b]) => a - b).map(([, part]) => part)
  return {
    ...frame,
    snapshot: { ...frame.snapshot, sessions: ordered.flatMap(({ snapshot }) => snapshot.sessions) },
    reaped: new Set(ordered.flatMap(({ reaped }) => [...reaped])),
  }
}

const WHOLE = 'expected a whole number from 0'
const whole = v.pipe(v.number(WHOLE), v.safeInteger(WHOLE), v.minValue(0, WHOLE))
const textOrNull = v.nullable(v.string('expected a text or null'))
const truth = v.boolean('expected true or false')
/** Dates end there (ECMAScript, "Time Values and Time Range"). */
const LAST_US = 8.64e15
const pool = v.strictTuple(
  [
    textOrNull,
    textOrNull,
    v.string('expected a text'),
    v.string('expected a text'),
    v.nullable(truth),
    truth,
  ],
  'expected a pool: [user, database, application, client, superuser, owned]',
)

const lineSchema = v.object(
  {
    target: v.string('expected a text'),
    at: v.pipe(whole, v.maxValue(LAST_US, 'expected microseconds since 1970')),
    part: v.optional(v.strictTuple([whole, whole], 'expected [part, parts]')),
    server: whole,
    own: v.strictTuple([whole, v.string('expected a text')], 'expected [pid, user]'),
    signal: v.strictTuple([truth, truth, truth], 'expected [may, member, inherits]'),
    slots: v.strictTuple([whole, whole], 'expected [max, reserved]'),
    opened: whole,
    pools: v.array(pool, 'expected a list of pools'),
    // `readSession` checks them without this library, because a recording has millions of them.
    sessions: v.array(v.unknown(), 'expected a list of sessions'),
  },
  'missing',
)

type Line = v.InferOutput<typeof lineSchema>

function readLine(text: string): Parsed<{ frame: Frame; part: Line['part'] }> {
  const versioned = readVersioned(text)
  if (!versioned.ok) return versioned
  const result = v.safeParse(lineSchema, versioned.value)
  if (!result.success) return refused(...result.issues.map((issue) => describe(KEY, issue)))
  const { target, at, part, server, own, signal, slots, opened } = result.output
  const now = Number(instant(at))
  const sessions: Session[] = []
  const reaped = new Set<string>()
  for (const [index, written] of result.output.sessions.entries()) {
    const session = readSession(written, result.output, now)
    if (session === undefined) {
      return refused(
        `${KEY}.sessions[${index}]: expected [pool, pid, state, µs since it began, µs in its state, flags, µs in its transaction], found ${brief(written)}`,
      )
    }
    sessions.push(session)
    if (isReaped(written as Written)) reaped.add(identityOf(session))
  }
  const [ownPid, ownUser] = own
  const [maySignal, isMember, inherits] = signal
  const [max, reserved] = slots
  const snapshot = {
    serverVersion: server,
    // As a sweep computes it from the server's answer, so that no verdict differs by a rounding.
    atMs: now * 1000,
    ownPid,
    ownUser,
    maySignal,
    signaller: { isMember, inherits },
    slots: { max, reserved },
    opened,
    sessions,
  }
  return parsed({ frame: { target, snapshot, reaped }, part })
}

function readVersioned(text: string): Parsed<object> {
  let line: unknown
  try {
    line = JSON.parse(text)
  } catch {
    return refused(
      isRecordingLine(text)
        ? `expected a whole line of JSON; this one is cut or damaged after ${text.length} characters, or has more behind its end`
        : `expected a line of a recording, found ${brief(text)}`,
    )
  }
  if (typeof line !== 'object' || line === null || !(KEY in line)) {
    return refused(`expected a line of a recording, with ${KEY}, found ${brief(line)}`)
  }
  if (line[KEY] !== VERSION) {
    return refused(
      `${KEY}: expected version ${VERSION}, found ${brief(line[KEY])}; another version of Slotkeeper wrote this recording`,
    )
  }
  return parsed(line)
}

/** A session as a line has it; what is missing at its end is usual. */
type Written = [
  pool: number,
  pid: number,
  state: number | string | null,
  beganUs: number,
  changedUs: number | null,
  flags?: number,
  transactionUs?: number | null,
]

const ALL_FLAGS = Object.values(FLAG).reduce((all, flag) => all | flag, 0)

const isWhole = (value: unknown) => Number.isSafeInteger(value)
const isWholeFrom0 = (value: unknown) => isWhole(value) && (value as number) >= 0
const isState = (value: unknown) =>
  value === null ||
  typeof value === 'string' ||
  (isWholeFrom0(value) && (value as number) < STATES.length)

function isWritten(value: unknown): value is Written {
  if (!Array.isArray(value)) return false
  const [pool, pid, state, began, changed, flags = 0, transaction = null] = value
  return (
    value.length <= 7 &&
    isWholeFrom0(pool) &&
    isWholeFrom0(pid) &&
    isState(state) &&
    isWhole(began) &&
    (changed === null || isWhole(changed)) &&
    isWholeFrom0(flags) &&
    flags <= ALL_FLAGS &&
    (transaction === null || isWholeFrom0(transaction))
  )
}

/** Undefined if it is no session, or began before 1970, as no clock is set. */
function readSession(written: unknown, { at, pools }: Line, now: number): Session | undefined {
  if (!isWritten(written)) return undefined
  const [place, pid, state, began, changed, flags = 0, transaction = null] = written
  const pool = pools[place]
  const earliest = at - Math.max(began, changed ?? 0, transaction ?? 0)
  if (pool === undefined || earliest < 0) return undefined
  const [user, database, application, client, superuser, owned] = pool
  const stateChange = changed === null ? null : instant(at - changed)
  return {
    pid,
    user,
    database,
    application,
    client,
    state: typeof state === 'number' ? (STATES[state] ?? null) : state,
    backendStart: instant(at - began),
    stateChange,
    ageSeconds: secondsSince(stateChange, now),
    transactionSeconds: transaction === null ? null : secondsSince(instant(at - transaction), now),
    superuser,
    owned,
    ...readFlags(flags),
  }
}

function isReaped([, , , , , flags = 0]: Written): boolean {
  return (flags & FLAG.reaped) !== 0
}

function readFlags(flags: number) {
  const has = (flag: number) => (flags & flag) !== 0
  return {
    listening: has(FLAG.listening),
    backup: has(FLAG.inBackup) || (has(FLAG.outOfBackup) ? false : null),
    advisoryLock: has(FLAG.advisoryLock) || (has(FLAG.advisoryLockUnknown) ? null : false),
    replicationSlot: has(FLAG.replicationSlot) || (has(FLAG.replicationSlotUnknown) ? null : false),
  }
}

/** Seconds since the epoch as the server writes them, from microseconds. */
function instant(microseconds: number): string {
  const fraction = microseconds % 1e6
  const decimals = fraction === 0 ? '' : `.${String(fraction).padStart(6, '0').replace(/0+$/, '')}`
  return `${(microseconds - fraction) / 1e6}${decimals}`
}
