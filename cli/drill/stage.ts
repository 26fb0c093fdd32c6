import { randomBytes } from 'node:crypto'
import { Client, type ClientConfig, DatabaseError, escapeIdentifier, escapeLiteral } from 'pg'
import type { Session } from '../../lambda/core/session.ts'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'
import { look } from '../../lambda/look.ts'
import { createGate, deadlineIn, type Gate, remaining } from '../../lambda/postgres/gate.ts'
import { tlsOptions } from '../../lambda/postgres/tls.ts'
import { startPostgres } from '../../stand-ins/postgres.ts'
import { readConnection } from '../connection.ts'
import { parseUri } from '../libpq/uri.ts'

const MAX_CONNECTIONS = 100
/** Of the application's role and of its database, which that role owns. It is no superuser: no policy touches those. */
const DEFAULT_NAME = 'app'
const REAPER = 'slotkeeper'

const LOOK_MS = 15_000
const END_MS = 5_000
/** The sessions that COMMAND opened. Its processes have ended by then. */
const END = (application: string) => `
select pg_terminate_backend(a.pid)
from pg_stat_activity a
where a.application_name = ${escapeLiteral(application)} and a.backend_type = 'client backend'`

/** The server of a drill. `close` closes the drill's own connection, and removes a disposable server. */
export type Stage = {
  /** As a person knows it. */
  target: string
  /** The variables that COMMAND gets. Undefined: one that it must not inherit. */
  environment: Record<string, string | undefined>
  /** What COMMAND's output must not show. */
  secrets: string[]
  /** The name by which the sessions of COMMAND are known, on a server that it shares with others. */
  application: string | undefined
  gate: Gate
  /** Whether COMMAND opened this session. */
  isOurs(session: Session): boolean
  /** Ends every session and stops the server for a moment. Undefined on a server of one's own. */
  restart: (() => Promise<void>) | undefined
  close(): Promise<void>
}

/** Where the SQL of `--setup` came from, and its text. */
export type Setup = { file: string; sql: string }

/**
 * Starts a disposable PostgreSQL for one drill. Nobody else knows its passwords, so every session but the
 * drill's own is COMMAND's.
 */
export async function startDisposable(
  {
    user = DEFAULT_NAME,
    database = DEFAULT_NAME,
  }: { user?: string | undefined; database?: string | undefined },
  setup: Setup | undefined,
): Promise<Stage> {
  const server = await startPostgres({ max_connections: String(MAX_CONNECTIONS) })
  try {
    const app = { user, password: randomPassword() }
    const reaper = { user: REAPER, password: randomPassword() }
    const superuser = { connectionString: server.url() }
    await run(
      superuser,
      `create role ${REAPER} login replication password '${reaper.password}';
       grant pg_monitor, pg_signal_backend to ${REAPER}`,
    )
    await make(
      'user',
      user,
      superuser,
      `create role ${escapeIdentifier(user)} login password '${app.password}'`,
    )
    await make(
      'database',
      database,
      superuser,
      `create database ${escapeIdentifier(database)} owner ${escapeIdentifier(user)}`,
    )
    if (setup) await runSetup({ connectionString: server.url(app, database) }, setup)
    const { host, port } = server
    const gate = createGate(async () => ({ host, port, ...reaper, database: 'postgres' }), false)
    return {
      target: 'a disposable PostgreSQL',
      environment: {
        ...withoutVariables(),
        // SQLAlchemy knows this scheme only, everybody else knows both.
        DATABASE_URL: server.url(app, database).replace('postgres:', 'postgresql:'),
        PGHOST: host,
        PGPORT: String(port),
        PGUSER: user,
        PGPASSWORD: app.password,
        PGDATABASE: database,
        // Go's lib/pq asks for TLS otherwise, which a server on the loopback has no use for.
        PGSSLMODE: 'disable',
      },
      secrets: [app.password],
      application: undefined,
      gate,
      isOurs: (session) => session.user !== REAPER,
      restart: () => server.restart(),
      async close() {
        await gate.close()
        await server.stop()
      },
    }
  } catch (error) {
    await server.stop()
    throw error
  }
}

function randomPassword(): string {
  return randomBytes(12).toString('hex')
}

/** @throws SlotkeeperError of kind `settings` if the server does not take the name */
async function make(what: string, name: string, config: ClientConfig, sql: string): Promise<void> {
  try {
    await run(config, sql)
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    throw new SlotkeeperError(
      'settings',
      `--${what}: found ${JSON.stringify(name)}; expected a name that PostgreSQL takes: ${messageOf(error)}`,
      { cause: error },
    )
  }
}

/**
 * Prepares a drill on a server that other applications use too. COMMAND's sessions are known by an
 * application name that nobody else has: neither the time nor the address of a session would tell it from
 * one of another program on this machine.
 */
export async function useOwn(url: string, setup: Setup | undefined): Promise<Stage> {
  const { target, credentials, tls } = readConnection({ url }, process.env)
  const application = `slotkeeper-drill-${randomBytes(6).toString('hex')}`
  const gate = createGate(credentials, tls)
  // If the server can't be drilled on, the error comes before anything else happens.
  const { link } = await look(gate, deadlineIn(LOOK_MS))
  await gate.giveBack(link)
  const { host, address = host, port, user, password, database } = await credentials(false)
  if (setup) {
    const ssl = tls && tlsOptions(tls, host)
    const config = { host: address, port, user, password, database, ssl }
    await runSetup(config, setup).catch(async (error) => {
      await gate.close()
      throw error
    })
  }
  return {
    target,
    environment: {
      ...variablesOf(url),
      DATABASE_URL: named(url, application),
      PGAPPNAME: application,
    },
    // A password of a few letters may be a part of any word.
    secrets: [password, encodeURIComponent(password)].filter(({ length }) => length > 3),
    application,
    gate,
    isOurs: (session) => session.application === application,
    restart: undefined,
    async close() {
      await endAbandoned(gate, application)
      await gate.close()
    },
  }
}

/**
 * Ends what COMMAND left on the server: a session with a statement under way does not notice that its client has
 * gone.
 */
async function endAbandoned(gate: Gate, application: string): Promise<void> {
  const deadline = deadlineIn(END_MS)
  try {
    const link = gate.takeWarm() ?? (await gate.open(deadline))
    await link.query(END(application), remaining(deadline, END_MS))
    await gate.giveBack(link)
  } catch (error) {
    // The statements end sooner or later, and their sessions with them. What the drill saw stays true.
    if (!(error instanceof SlotkeeperError)) throw error
  }
}

/** The variables of libpq that COMMAND must not inherit, because they could lead it to another server. */
function withoutVariables(): Record<string, undefined> {
  const names = Object.keys(process.env).filter((name) => /^PG[A-Z]+$/.test(name))
  return Object.fromEntries(names.map((name) => [name, undefined]))
}

const VARIABLES: Record<string, string> = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  dbname: 'PGDATABASE',
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
}

/** What the URL says, as variables. Those that it does not mention stay as they are, as for `psql`. */
function variablesOf(url: string): Record<string, string> {
  const entries = Object.entries(parseUri(url)).flatMap(([name, value]) => {
    const variable = VARIABLES[name]
    return variable === undefined || value === undefined ? [] : [[variable, value] as const]
  })
  return Object.fromEntries(entries)
}

/** The same URL with this application name, whatever name it had. */
function named(url: string, application: string): string {
  const [place = '', query = ''] = url.split(/\?(.*)/s)
  const others = query
    .split('&')
    .filter((part) => part && !/^(fallback_)?application_name=/.test(part))
  return `${place}?${[...others, `application_name=${application}`].join('&')}`
}

/** What every dump of pg_dump has at its beginning and end, and only psql knows. */
const PSQL_RESTRICT = /^\\(un)?restrict \w+$/gm

async function runSetup(config: ClientConfig, { file, sql }: Setup): Promise<void> {
  try {
    await run(config, sql.replace(PSQL_RESTRICT, ''))
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    const line = error.position && sql.slice(0, Number(error.position)).split('\n').length
    throw new SlotkeeperError(
      'settings',
      `--setup ${file}${line ? `, line ${line}` : ''}: ${messageOf(error)} (SQLSTATE ${error.code}). Expected SQL that the application's role may run, without commands of psql.`,
      { cause: error },
    )
  }
}

async function run(config: ClientConfig, sql: string): Promise<void> {
  const client = new Client({ ...config, application_name: 'slotkeeper' })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
