import * as v from 'valibot'
import { MOST_NAME_BYTES } from './names.ts'
import type { Parsed } from './parsed.ts'
import { duration } from './policy.ts'
import { describeRepeated, repeatedKeys } from './repeated-keys.ts'
import { brief, describe, list, record, text } from './schema.ts'

/** The settings that a bound may set, by its keys, in milliseconds each. */
export const TIMEOUTS = {
  idleSessionTimeout: 'idle_session_timeout',
  idleInTransactionSessionTimeout: 'idle_in_transaction_session_timeout',
  transactionTimeout: 'transaction_timeout',
} as const

/** PostgreSQL stores a timeout as a 32-bit number of milliseconds. */
const MOST_TIMEOUT_MS = 2_147_483_647
/** PostgreSQL's limit of `max_connections` (`MAX_BACKENDS`). */
const MOST_CONNECTIONS = 262_143
const LIMIT_FORM = `expected a whole number from 1 to ${MOST_CONNECTIONS}; 0 would refuse every login`

const name = (form: string) =>
  v.pipe(
    text(form),
    v.check(
      (found) => new TextEncoder().encode(found).length <= MOST_NAME_BYTES,
      `expected at most ${MOST_NAME_BYTES} bytes, because PostgreSQL truncates longer names`,
    ),
    v.check((found) => !found.includes('\0'), `expected ${form}, without a null character`),
  )

/** A shorter timeout would become 0, which means no timeout. */
const timeout = v.pipe(
  duration,
  v.transform((seconds) => Math.round(seconds * 1000)),
  v.check(
    (ms) => ms >= 1 && ms <= MOST_TIMEOUT_MS,
    'expected a duration from "1ms" to "596h"; leave the key out for no bound',
  ),
)

const entries = record({
  user: name('the name of a role'),
  database: v.optional(name('the name of a database')),
  idleSessionTimeout: v.optional(timeout),
  idleInTransactionSessionTimeout: v.optional(timeout),
  transactionTimeout: v.optional(timeout),
  connectionLimit: v.optional(
    v.pipe(
      v.number(LIMIT_FORM),
      v.check((n) => Number.isInteger(n) && n >= 1 && n <= MOST_CONNECTIONS, LIMIT_FORM),
    ),
  ),
})
type Entries = v.InferOutput<typeof entries>

const KEYS = [...Object.keys(TIMEOUTS), 'connectionLimit'] as (
  | keyof typeof TIMEOUTS
  | 'connectionLimit'
)[]

const boundSchema = v.pipe(
  entries,
  v.check(
    (bound: Entries) => KEYS.some((key) => bound[key] !== undefined),
    `expected at least one of ${KEYS.join(', ')}`,
  ),
  v.forward(
    v.check<Entries, string>(
      ({ database, connectionLimit }) => database === undefined || connectionLimit === undefined,
      "expected no database beside it: PostgreSQL counts a role's sessions in all databases",
    ),
    ['connectionLimit'],
  ),
)

const boundsSchema = v.pipe(
  list(boundSchema, 'one or more bounds'),
  v.check((bounds) => {
    const places = bounds.map(({ user, database }) => JSON.stringify([user, database]))
    return new Set(places).size === places.length
  }, 'expected each role once, and each role in a database once'),
)

/** Bounds as a person writes them. */
export type BoundsInput = v.InferInput<typeof boundsSchema>
/** Bounds with their timeouts in milliseconds. */
export type Bounds = v.InferOutput<typeof boundsSchema>

/** Reads bounds. Each problem names the path, what is accepted and what was found. */
export function parseBounds(input: unknown): Parsed<Bounds> {
  const result = v.safeParse(boundsSchema, input)
  if (result.success) return { ok: true, value: result.output }
  return { ok: false, problems: result.issues.map((issue) => describe('bounds', issue)) }
}

/** As `parseBounds`, from JSON text. Refuses a key that occurs twice in one object. */
export function parseBoundsText(text: string): Parsed<Bounds> {
  // Editors on Windows begin a file with a byte order mark.
  const json = text.replace(/^\uFEFF/, '')
  let input: unknown
  try {
    input = JSON.parse(json)
  } catch {
    return { ok: false, problems: [`bounds: expected JSON, found ${brief(json)}`] }
  }
  const repeated = repeatedKeys(json)
  if (repeated.length > 0) {
    return { ok: false, problems: repeated.map((path) => `bounds${describeRepeated(path)}`) }
  }
  return parseBounds(input)
}

/** One value of one role, alone or in one database. */
export type Setting = { user: string; database?: string } & (
  | { name: (typeof TIMEOUTS)[keyof typeof TIMEOUTS]; ms: number }
  | { name: 'connection limit'; limit: number }
)

/** The values that the bounds set, in their order. */
export function settingsOf(bounds: Bounds): Setting[] {
  return bounds.flatMap(({ user, database, connectionLimit, ...timeouts }) => [
    ...Object.entries(TIMEOUTS).flatMap(([key, name]) => {
      const ms = timeouts[key as keyof typeof TIMEOUTS]
      return ms === undefined
        ? []
        : [{ user, ...(database === undefined ? {} : { database }), name, ms }]
    }),
    ...(connectionLimit === undefined
      ? []
      : [{ user, name: 'connection limit' as const, limit: connectionLimit }]),
  ])
}

/** Whether two settings are about the same thing, whatever their values. */
export function samePlace(one: Setting, other: Setting): boolean {
  return one.user === other.user && one.database === other.database && one.name === other.name
}

/** The settings of `before` that `now` no longer has, whatever their values. */
export function removed(before: Setting[], now: Setting[]): Setting[] {
  return before.filter((setting) => !now.some((other) => samePlace(setting, other)))
}

const MS_PER_UNIT: Record<string, number> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/**
 * A timeout as the catalog has it, in milliseconds: the text of the ALTER ROLE, such as `15min`, `900s` or
 * `900000`. Undefined if it is none.
 * @see https://www.postgresql.org/docs/current/config-setting.html#CONFIG-SETTING-NAMES-VALUES
 */
export function timeoutMs(written: string): number | undefined {
  const [, amount, unit = 'ms'] = /^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?\s*$/.exec(written) ?? []
  if (amount === undefined) return undefined
  return Math.round(Number(amount) * (MS_PER_UNIT[unit] ?? Number.NaN))
}

/** A timeout as PostgreSQL writes it, in its largest unit that leaves a whole number, such as `15min`. */
export function writeTimeout(ms: number): string {
  const units = ['d', 'h', 'min', 's', 'ms'].map((unit) => [unit, MS_PER_UNIT[unit] ?? 1] as const)
  const [unit, size] = units.find(([, size]) => ms % size === 0) ?? ['ms', 1]
  return `${ms / size}${unit}`
}
