import { Socket } from 'node:net'
import { DatabaseError } from 'pg'
import type { Credentials } from '../aws/credentials.ts'
import type { Entry } from '../core/report.ts'
import { APPLICATION_NAME } from '../core/verdicts.ts'
import { createClient } from './driver.ts'
import { classify, isFatal, plaintextOnly } from './failure.ts'
import { START_UP_OPTIONS, settingsAfterLogin } from './pins.ts'

/** `ca` is PEM text. Without `verifyName` the chain is verified and the host name is not. */
export type Tls = false | { ca: string[]; verifyName: boolean }

/** An open session on the server. */
export type Link = {
  entry: Entry
  /** The role that logged in. */
  role: string
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
  const { host, port, user, password, database } = credentials
  // Held here, because a hung connection can only be left by destroying its socket.
  const socket = new Socket()
  const client = createClient({
    host,
    port,
    user,
    password,
    database,
    ssl: tls && tlsOptions(tls),
    // Ties the password's proof to this very TLS connection (SCRAM-SHA-256-PLUS), so that nobody
    // can relay the login, not even with a certificate that is trusted here.
    enableChannelBinding: tls !== false,
    stream: () => socket,
    application_name: APPLICATION_NAME,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    options: START_UP_OPTIONS,
    keepAlive: true,
    ...(entry === 'walsender' ? { replication: 'database' } : {}),
  })
  let lost = false
  // Without a listener an error on the idle connection would end the process at the next thaw.
  client.on('error', () => {
    lost = true
  })
  client.on('end', () => {
    lost = true
  })

  let offersTls = true
  if (tls) {
    // The answer to the request for TLS: the driver's error for a no has a text only, and no code.
    socket.once('data', (answer) => {
      offersTls = answer.toString() !== 'N'
    })
  }

  let major = 0
  client.connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
    if (parameterName === 'server_version') major = Number.parseInt(parameterValue, 10)
  })

  let late = false
  const timer = setTimeout(() => {
    late = true
    socket.destroy()
  }, timeoutMs)
  try {
    await client.connect()
    await client.query(settingsAfterLogin(major))
  } catch (error) {
    socket.destroy()
    if (!offersTls) throw plaintextOnly(error, credentials)
    const reason = late ? new Error(`no answer within ${timeoutMs / 1000} s`) : error
    throw classify(reason, credentials, 'login')
  } finally {
    clearTimeout(timer)
  }

  return {
    entry,
    role: user,
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

function tlsOptions({ ca, verifyName }: Exclude<Tls, false>) {
  return {
    ca,
    rejectUnauthorized: true,
    ...(verifyName ? {} : { checkServerIdentity: () => undefined }),
  }
}
