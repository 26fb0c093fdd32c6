import { isIP, Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { DatabaseError } from 'pg'
import type { Credentials } from '../core/credentials.ts'
import type { Entry } from '../core/report.ts'
import { APPLICATION_NAME } from '../core/verdicts.ts'
import { messageOf } from '../errors.ts'
import { createClient } from './driver.ts'
import { classify, isFatal, refusePooler } from './failure.ts'
import { LoginRefused } from './login.ts'
import { NoAnswer, StrangeAnswer } from './network-failure.ts'
import { plaintextOnly } from './tls-failure.ts'

/**
 * `ca` is PEM text. Without `verifyName` the chain is verified and the host name is not. With
 * `requireBinding` only a login that is tied to the TLS connection will do.
 */
export type Tls =
  | false
  | ({ ca: string[]; verifyName: boolean; requireBinding?: boolean } & Pick<
      ConnectionOptions,
      'cert' | 'key' | 'passphrase' | 'crl' | 'minVersion' | 'maxVersion'
    >)

/** An open session on the server. */
export type Link = {
  entry: Entry
  /** Runs statements in one message by the simple protocol; one result a statement. */
  query(sql: string, timeoutMs: number): Promise<Record<string, unknown>[][]>
  /** False once the connection was lost or a statement got no answer. */
  alive(): boolean
  /** Ends the session; never waits longer than a moment and never throws. */
  close(): Promise<void>
}

/** The server stops a statement by itself a little after the sweep has given it up. */
const STATEMENT_TIMEOUT_MS = 25_000
const GOODBYE_MS = 500

const YES_TLS = Buffer.from('S')
const NO_TLS = Buffer.from('N')

/**
 * Set at start-up, before what a role or a database has set: a `search_path` must not put a
 * stranger's function before PostgreSQL's, `idle_session_timeout` must not end the kept connection,
 * and without `standard_conforming_strings` a backslash in a statement means something else.
 */
const OPTIONS = [
  '-c search_path=pg_catalog,pg_temp',
  '-c idle_session_timeout=0',
  '-c standard_conforming_strings=on',
].join(' ')

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
    options: OPTIONS,
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

  let late: NoAnswer | undefined
  const timer = setTimeout(() => {
    late = new NoAnswer(timeoutMs, !socket.connecting)
    socket.destroy()
  }, timeoutMs)
  try {
    await client.connect()
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

/** The certificate is held to the host's name, wherever it is reached. */
function tlsOptions({ verifyName, requireBinding: _, ...tls }: Exclude<Tls, false>, host: string) {
  return {
    ...tls,
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    rejectUnauthorized: true,
    ...(verifyName ? {} : { checkServerIdentity: () => undefined }),
  }
}
