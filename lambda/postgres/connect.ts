import { Socket } from 'node:net'
import { Client, DatabaseError } from 'pg'
import type { Credentials } from '../aws/credentials.ts'
import type { Entry } from '../core/report.ts'
import { APPLICATION_NAME } from '../core/verdicts.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'

/** `ca` is PEM text. Without `verifyName` the chain is verified and the host name is not. */
export type Tls = false | { ca: string[]; verifyName: boolean }

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

/**
 * Set at start-up, so that no statement runs under a role's or a database's own settings: a
 * `search_path` must not put a stranger's function before PostgreSQL's, and
 * `idle_session_timeout` must not end the kept connection.
 */
const OPTIONS = ['-c search_path=pg_catalog,pg_temp', '-c idle_session_timeout=0'].join(' ')

/**
 * Opens one session, as an ordinary client or as a walsender (`replication=database`), whose slots
 * are counted apart and which can run SQL by the simple protocol.
 * @throws SlotkeeperError of kind `exhausted`, `limited`, `authentication`, `unreachable`, `tls` or `query`
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
  const client = new Client({
    host,
    port,
    user,
    password,
    database,
    ssl: tls && tlsOptions(tls),
    stream: () => socket,
    application_name: APPLICATION_NAME,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    options: OPTIONS,
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

  let late = false
  const timer = setTimeout(() => {
    late = true
    socket.destroy()
  }, timeoutMs)
  try {
    await client.connect()
  } catch (error) {
    socket.destroy()
    throw classify(late ? new Error(`no answer within ${timeoutMs / 1000} s`) : error, credentials)
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
        throw classify(error, credentials)
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

/** Whether the server ended the session along with the error. */
function isFatal({ code = '' }: DatabaseError): boolean {
  return code.startsWith('57P') || code.startsWith('08')
}

/** Names the kind of an error by SQLSTATE first and by the socket's code second, never by its text. */
function classify(error: unknown, { host, port, user, database }: Credentials): SlotkeeperError {
  const where = `${host}:${port}`
  const said = messageOf(error)
  const fail = (kind: SlotkeeperError['kind'], message: string) =>
    new SlotkeeperError(kind, message, { cause: error })

  if (error instanceof DatabaseError) {
    switch (error.code) {
      case '28P01':
      case '28000':
        return fail(
          'authentication',
          `${where} refused to let role ${user} into database ${database}: ${said} (SQLSTATE ${error.code}). Check the password, that the role may log in, and pg_hba.conf or rds_iam.`,
        )
      case '3D000':
        return fail(
          'query',
          `${where} has no database ${database} (SQLSTATE 3D000). Correct the database name; "postgres" exists on every server.`,
        )
      case '53300':
        return isOwnLimit(error)
          ? fail(
              'limited',
              `the connection limit of role ${user} or database ${database} on ${where} is used up: ${said} (SQLSTATE 53300). The server itself has room: raise it with ALTER ROLE or ALTER DATABASE … CONNECTION LIMIT, or connect to another database.`,
            )
          : fail(
              'exhausted',
              `every connection slot of ${where} is taken: ${said} (SQLSTATE 53300).`,
            )
    }
    return isFatal(error)
      ? fail('unreachable', `${where} ended the connection: ${said} (SQLSTATE ${error.code}).`)
      : fail('query', `${where} refused a statement: ${said} (SQLSTATE ${error.code}).`)
  }
  const code = (error as { code?: unknown }).code
  if (typeof code === 'string' && /CERT|TLS|SSL|SIGNATURE|ISSUER/.test(code)) {
    return fail(
      'tls',
      `the certificate of ${where} was not accepted: ${said} (${code}). Check the host name against the certificate, and the certificate authorities (SLOTKEEPER_CA_FILE).`,
    )
  }
  return fail(
    'unreachable',
    `no connection with ${where}: ${said}. Check that the server runs, the host name, the port, the security groups and the subnets.`,
  )
}

/**
 * A role's or a database's CONNECTION LIMIT has the same SQLSTATE as the full server. The place in
 * PostgreSQL's source that raised it is not translated, as its text is: miscinit.c
 * (InitializeSessionUserId) and postinit.c (CheckMyDatabase).
 */
function isOwnLimit({ routine = '' }: DatabaseError): boolean {
  return routine === 'InitializeSessionUserId' || routine === 'CheckMyDatabase'
}
