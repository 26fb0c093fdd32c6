import { Socket } from 'node:net'
import { type Client, DatabaseError } from 'pg'
import type { Credentials } from '../core/credentials.ts'
import { APPLICATION_NAME } from '../core/protection.ts'
import type { Entry } from '../core/report.ts'
import { messageOf } from '../errors.ts'
import { createClient } from './driver.ts'
import { classify, isFatal, refusePooler } from './failure.ts'
import { LoginRefused } from './login.ts'
import { NoAnswer, StrangeAnswer } from './network-failure.ts'
import { START_UP_OPTIONS, settingsAfterLogin } from './pins.ts'
import { type Tls, tlsOptions } from './tls.ts'
import { plaintextOnly } from './tls-failure.ts'

/** An open session on the server. */
export type Link = {
  entry: Entry
  /** For errors: host and port, as they were given. */
  server: string
  /** The role that logged in. */
  role: string
  /** The server's process for this session, as it was told at the login; NULL where it was not. */
  processId: number | null
  /** Runs statements in one message by the simple protocol; one result a statement. */
  query(sql: string, timeoutMs: number): Promise<Record<string, unknown>[][]>
  /** False once the connection was lost or a statement got no answer. */
  alive(): boolean
  /** Ends the session; never waits longer than a moment and never throws. */
  close(): Promise<void>
}

/** What a server tells of itself at the login; in the driver, and missing from its types. */
type ParameterStatus = { parameterName: string; parameterValue: string }

/** The server stops a statement by itself a little after the sweep has given it up. */
const STATEMENT_TIMEOUT_MS = 25_000
const GOODBYE_MS = 500

const YES_TLS = Buffer.from('S')
const NO_TLS = Buffer.from('N')

/**
 * Opens one session, as an ordinary client or as a walsender (`replication=database`), whose slots
 * are counted apart and which can run SQL by the simple protocol.
 * @throws SlotkeeperError of kind `exhausted`, `limited`, `authentication`, `forbidden`, `unreachable` or `tls`
 */
export async function connect(
  credentials: Credentials,
  tls: Tls,
  entry: 'client' | 'walsender',
  timeoutMs: number,
): Promise<Link> {
  refusePooler(credentials)
  const { host, address = host, port, user, password, database, methods } = credentials
  // Held here, because a hung connection can only be left by destroying its socket.
  const socket = new Socket()
  const config = {
    host: address,
    port,
    user,
    // Asked for by the driver once the server asks. As a value, an empty one would send it to look in
    // the environment and in files by itself.
    password: () => {
      if (password !== '') return password
      throw new LoginRefused('password', 'a password is asked for, and none is given')
    },
    database,
    ssl: tls && tlsOptions(tls, host),
    // The driver would read it from the environment, and hold back the request that is awaited below.
    sslnegotiation: 'postgres' as const,
    // Ties the password's proof to this very TLS connection (SCRAM-SHA-256-PLUS), so that nobody
    // can relay the login, not even with a certificate that is trusted here.
    enableChannelBinding: tls !== false,
    stream: () => socket,
    application_name: APPLICATION_NAME,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    options: START_UP_OPTIONS,
    keepAlive: true,
    ...(entry === 'walsender' ? { replication: 'database' } : {}),
  }
  const client = createClient(config, {
    methods,
    requireBinding: tls !== false && tls.requireBinding,
  })
  let lost = false
  // Without a listener an error on the idle connection would end the process at the next thaw.
  client.on('error', () => {
    lost = true
  })
  client.on('end', () => {
    lost = true
  })

  let toTls: Buffer | undefined
  if (tls) {
    // The answer to the request for TLS: the driver's error for another than yes has a text only.
    socket.once('data', (answer) => {
      toTls = answer
    })
  }

  let major = 0
  client.connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
    if (parameterName === 'server_version') major = Number.parseInt(parameterValue, 10)
  })

  let late: NoAnswer | undefined
  const timer = setTimeout(() => {
    late = new NoAnswer(timeoutMs, !socket.connecting)
    socket.destroy()
  }, timeoutMs)
  try {
    await client.connect()
    await client.query(settingsAfterLogin(major))
  } catch (error) {
    socket.destroy()
    if (toTls?.equals(NO_TLS)) throw plaintextOnly(error, credentials)
    const strange = toTls && !toTls.equals(YES_TLS) && new StrangeAnswer(messageOf(error))
    throw classify(late || strange || error, credentials, tls ? 'login' : 'plain login')
  } finally {
    clearTimeout(timer)
  }

  return {
    entry,
    server: `${host}:${port}`,
    role: user,
    processId: (client as Client & { processID: number | null }).processID,
    alive: () => !lost,
    async query(sql, queryTimeoutMs) {
      try {
        // `query_timeout` of a single query is read by the driver and missing from its types.
        const config = { text: sql, query_timeout: queryTimeoutMs }
        const results: unknown = await client.query(config)
        return [results]
          .flat()
          .map((result) => (result as { rows: Record<string, unknown>[] }).rows)
      } catch (error) {
        if (!(error instanceof DatabaseError) || isFatal(error)) {
          lost = true
          socket.destroy()
        }
        throw classify(error, credentials, 'statement')
      }
    },
    async close() {
      const timer = setTimeout(() => socket.destroy(), GOODBYE_MS)
      // The socket's end is all that is asked for here, and a broken one is at its end.
      await client.end().catch(() => undefined)
      clearTimeout(timer)
      socket.destroy()
    },
  }
}
