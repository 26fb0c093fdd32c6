import ipaddr from 'ipaddr.js'
import * as v from 'valibot'
import type { Parsed } from './parsed.ts'
import { describeRepeated, repeatedKeys } from './repeated-keys.ts'

/**
 * The authentication methods that a server may ask for, by libpq's names (`require_auth`). `none` asks for
 * nothing.
 */
export const METHODS = ['none', 'password', 'md5', 'scram-sha-256'] as const

export type Method = (typeof METHODS)[number]

/** Everything that is needed to log in to one target. */
export type Credentials = {
  /** A host name, an address, or the folder of a Unix socket. */
  host: string
  /** Where to connect if not to `host` itself, for example the near end of a tunnel. */
  address?: string
  port: number
  user: string
  /** Empty if there is none. */
  password: string
  database: string
  /** Tried if the role may not connect to `database`. */
  secondDatabase?: string
  /** The authentication methods that the server may use; if missing, every supported one. */
  methods?: readonly Method[]
}

/** Reads the credentials; `fresh` bypasses the cache. */
export type ReadCredentials = (fresh: boolean) => Promise<Credentials>

/** Where the credentials for each host of a target come from; without a host, for the target's own. */
export type CredentialsFor = (host?: string) => ReadCredentials

/** Values from the configuration. Each one overrides the value in the secret. */
export type Overrides = Partial<Pick<Credentials, 'host' | 'port' | 'user' | 'database'>>

export const DEFAULT_PORT = 5432
/** Exists on every server, and has no connection limit that was set for an application. */
export const DEFAULT_DATABASE = 'postgres'

/** Both templates and people write secrets, so null and an empty text mean the same as a missing field. */
const optional = <const T extends v.GenericSchema>(schema: T) =>
  v.optional(
    v.union([
      v.pipe(
        v.union([v.null(), v.literal('')]),
        v.transform(() => undefined),
      ),
      schema,
    ]),
  )

const port = v.pipe(
  v.union([v.number(), v.pipe(v.string(), v.regex(/^\d{1,5}$/))]),
  v.transform(Number),
  v.integer(),
  v.minValue(1),
  v.maxValue(65535),
)

// The rotation templates write all fields. RDS itself writes only username and password.
const secretSchema = v.object({
  username: v.pipe(v.string(), v.nonEmpty()),
  password: v.pipe(v.string(), v.nonEmpty()),
  host: optional(v.string()),
  port: optional(port),
  dbname: optional(v.string()),
})

/**
 * Reads both shapes of RDS secrets. The configuration overrides the secret. A problem names the field and
 * never quotes a value.
 * @param secret the text of the secret, or undefined if it holds binary data
 */
export function parseSecret(secret: string | undefined, overrides: Overrides): Parsed<Credentials> {
  const fail = (problem: string): Parsed<never> => ({ ok: false, problems: [problem] })
  const { input, problem } = readSecretText(secret)
  if (problem !== undefined) return fail(problem)
  const result = v.safeParse(secretSchema, input)
  if (!result.success) {
    const fields = result.issues.map((issue) => issue.path?.[0]?.key ?? 'the whole')
    return fail(
      `${[...new Set(fields)].join(', ')} missing or not in the form that RDS writes; expected username and password as texts, and optionally host, port, dbname`,
    )
  }
  const { username, password, dbname, ...written } = result.output
  const at =
    overrides.host === undefined ? splitHost(written) : { ...written, host: overrides.host }
  if (at === undefined) {
    return fail(
      "host is not a host name; expected the server's endpoint, and its port in the field port",
    )
  }
  if (at.host === undefined) {
    return fail(
      'has no field host; the secrets that RDS manages have none: set SLOTKEEPER_HOST for the function, or use --url on the command line',
    )
  }
  const second = overrides.database === undefined && dbname !== DEFAULT_DATABASE && dbname
  const value = {
    host: at.host,
    port: overrides.port ?? at.port ?? DEFAULT_PORT,
    user: overrides.user ?? username,
    password,
    // Not the secret's database: a connection that is kept there would block DROP DATABASE.
    database: overrides.database ?? DEFAULT_DATABASE,
    ...(second && { secondDatabase: second }),
  }
  return { ok: true, value }
}

/** The parsed JSON of a secret, or why it can't be read. */
function readSecretText(secret: string | undefined): { input?: unknown; problem?: string } {
  if (secret === undefined) return { problem: 'holds binary data; expected a JSON text' }
  if (secret.includes('\0')) return { problem: 'is in UTF-16; expected a JSON text in UTF-8' }
  // Editors on Windows write a byte order mark at the start of a file.
  const text = secret.replace(/^\uFEFF/, '')
  try {
    const input: unknown = JSON.parse(text)
    const [repeated] = repeatedKeys(text)
    return repeated ? { problem: `secret${describeRepeated(repeated)}` } : { input }
  } catch {
    return { problem: 'is not JSON; expected an object with username and password' }
  }
}

/**
 * Splits `name:5432` into host and port. Undefined if it is not a host, or if it contradicts the field port.
 */
function splitHost({ host, port }: { host?: string | undefined; port?: number | undefined }) {
  if (host === undefined || ipaddr.IPv6.isValid(host)) return { host, port }
  const [, name = '', written] = /^([^\s:/@?#]+)(?::(\d{1,5}))?$/.exec(host) ?? []
  const own = written === undefined ? undefined : Number(written)
  if (name === '' || own === 0 || (own ?? 0) > 65535) return undefined
  if (own !== undefined && port !== undefined && own !== port) return undefined
  return { host: name, port: own ?? port }
}
