import ipaddr from 'ipaddr.js'
import * as v from 'valibot'
import type { Parsed } from './parsed.ts'
import { describeRepeated, repeatedKeys } from './repeated-keys.ts'

/** What a server may ask of a client that logs in, under libpq's names for it; `none` is nothing at all. */
export const METHODS = ['none', 'password', 'md5', 'scram-sha-256'] as const

export type Method = (typeof METHODS)[number]

/** What it takes to log in to one target. */
export type Credentials = {
  /** A name, an address, or the folder of a Unix socket. */
  host: string
  /** Where to reach it, where that is not what the host's name says: at the near end of a tunnel. */
  address?: string
  port: number
  user: string
  /** Empty where there is none. */
  password: string
  database: string
  /** For a role that is not let into the first one. */
  secondDatabase?: string
  /** What the server may ask of the login; anything that is spoken here where it is not given. */
  methods?: readonly Method[]
}

/** Reads the credentials; `fresh` passes over what is cached. */
export type ReadCredentials = (fresh: boolean) => Promise<Credentials>

/** What the configuration says itself; each field given overrides the secret's. */
export type Overrides = Partial<Pick<Credentials, 'host' | 'port' | 'user' | 'database'>>

export const DEFAULT_PORT = 5432
/** Exists on every server, and has no connection limit of an application's. */
export const DEFAULT_DATABASE = 'postgres'

/** Secrets are written by templates and by hand: null and empty say the same as a missing field. */
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

// The rotation templates write all of it; RDS itself writes username and password alone.
const secretSchema = v.object({
  username: v.pipe(v.string(), v.nonEmpty()),
  password: v.pipe(v.string(), v.nonEmpty()),
  host: optional(v.string()),
  port: optional(port),
  dbname: optional(v.string()),
})

/**
 * Reads both shapes of RDS secrets, configuration first. A problem names the field and never quotes a value.
 * @param secret the text of the secret, or undefined where it holds binary data
 */
export function parseSecret(secret: string | undefined, overrides: Overrides): Parsed<Credentials> {
  const fail = (problem: string): Parsed<never> => ({ ok: false, problems: [problem] })
  const { input, problem } = readSecretText(secret)
  if (problem !== undefined) return fail(problem)
  const result = v.safeParse(secretSchema, input)
  if (!result.success) {
    const fields = result.issues.map((issue) => issue.path?.[0]?.key ?? 'the whole')
    return fail(
      `${[...new Set(fields)].join(', ')} missing or not of the form that RDS writes; expected username and password as texts, and host, port, dbname where given`,
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
      "has no field host, as RDS's own secrets have none: set SLOTKEEPER_HOST for the function, or use --url on the command line",
    )
  }
  const second = overrides.database === undefined && dbname !== DEFAULT_DATABASE && dbname
  const value = {
    host: at.host,
    port: overrides.port ?? at.port ?? DEFAULT_PORT,
    user: overrides.user ?? username,
    password,
    // Not the secret's: a connection that is kept there would stand in the way of DROP DATABASE.
    database: overrides.database ?? DEFAULT_DATABASE,
    ...(second && { secondDatabase: second }),
  }
  return { ok: true, value }
}

/** The JSON of a secret, or what keeps it from being read. */
function readSecretText(secret: string | undefined): { input?: unknown; problem?: string } {
  if (secret === undefined) return { problem: 'holds binary data; expected a JSON text' }
  if (secret.includes('\0')) return { problem: 'is in UTF-16; expected a JSON text in UTF-8' }
  // Editors on Windows begin a file with a byte order mark.
  const text = secret.replace(/^\uFEFF/, '')
  try {
    const input: unknown = JSON.parse(text)
    const [repeated] = repeatedKeys(text)
    return repeated ? { problem: `secret${describeRepeated(repeated)}` } : { input }
  } catch {
    return { problem: 'is not JSON; expected an object with username and password' }
  }
}

/** Takes `name:5432` for both; undefined where it is no host, or where the ports contradict each other. */
function splitHost({ host, port }: { host?: string | undefined; port?: number | undefined }) {
  if (host === undefined || ipaddr.IPv6.isValid(host)) return { host, port }
  const [, name = '', written] = /^([^\s:/@?#]+)(?::(\d{1,5}))?$/.exec(host) ?? []
  const own = written === undefined ? undefined : Number(written)
  if (name === '' || own === 0 || (own ?? 0) > 65535) return undefined
  if (own !== undefined && port !== undefined && own !== port) return undefined
  return { host: name, port: own ?? port }
}
