import { randomBytes } from 'node:crypto'
import { Client, type ClientConfig, DatabaseError } from 'pg'
import type { Session } from '../../lambda/core/session.ts'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'
import { createGate, type Gate } from '../../lambda/postgres/gate.ts'
import { tlsOptions } from '../../lambda/postgres/tls.ts'
import { startPostgres } from '../../stand-ins/postgres.ts'
import { readConnection } from '../connection.ts'
import { parseUri } from '../libpq/uri.ts'

const MAX_CONNECTIONS = 100
/** The application of the drill: the owner of its database, and no superuser, whom no policy may touch. */
const APP = 'app'
const REAPER = 'slotkeeper'

/** The server of a drill. `close` closes the drill's own connection, and removes a disposable server. */
export type Stage = {
  /** As a person knows it. */
  target: string
  disposable: boolean
  /** The variables that COMMAND gets. Undefined: one that it must not inherit. */
  environment: Record<string, string | undefined>
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
export async function startDisposable(setup: Setup | undefined): Promise<Stage> {
  const server = await startPostgres({ max_connections: String(MAX_CONNECTIONS) })
  try {
    const app = { user: APP, password: randomBytes(12).toString('hex') }
    const reaper = { user: REAPER, password: randomBytes(12).toString('hex') }
    await run(
      { connectionString: server.url() },
      `create role ${APP} login password '${app.password}';
       create role ${REAPER} login replication password '${reaper.password}';
       grant pg_monitor, pg_signal_backend to ${REAPER}`,
    )
    await run({ connectionString: server.url() }, `create database ${APP} owner ${APP}`)
    if (setup) await runSetup({ connectionString: server.url(app, APP) }, setup)
    const { host, port } = server
    const gate = createGate(async () => ({ host, port, ...reaper, database: 'postgres' }), false)
    return {
      target: 'a disposable PostgreSQL',
      disposable: true,
      environment: {
        ...withoutVariables(),
        // SQLAlchemy knows this scheme only, everybody else knows both.
        DATABASE_URL: server.url(app, APP).replace('postgres:', 'postgresql:'),
        PGHOST: host,
        PGPORT: String(port),
        PGUSER: app.user,
        PGPASSWORD: app.password,
        PGDATABASE: APP,
        // Go's lib/pq asks for TLS otherwise, which a server on the loopback has no use for.
        PGSSLMODE: 'disable',
      },
      application: undefined,
      gate,
      isOurs: ({ user }) => user === APP,
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

/**
 * Prepares a drill on a server that other applications use too. COMMAND's sessions are known by an
 * application name that nobody else has: neither the time nor the address of a session would tell it from
 * one of another program on this machine.
 */
export async function useOwn(url: string, setup: Setup | undefined): Promise<Stage> {
  const { target, credentials, tls } = readConnection({ url }, process.env)
  const application = `slotkeeper-drill-${randomBytes(6).toString('hex')}`
  const gate = createGate(credentials, tls)
  if (setup) {
    const { host, address = host, port, user, password, database } = await credentials(false)
    const ssl = tls && tlsOptions(tls, host)
    await runSetup({ host: address, port, user, password, database, ssl }, setup)
  }
  return {
    target,
    disposable: false,
    environment: {
      ...variablesOf(url),
      DATABASE_URL: named(url, application),
      PGAPPNAME: application,
    },
    application,
    gate,
    isOurs: (session) => session.application === application,
    restart: undefined,
    close: () => gate.close(),
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
