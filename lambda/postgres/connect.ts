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
import { settingsAfterLogin, startUpOptions } from './pins.ts'
import { type Tls, tlsOptions } from './tls.ts'
import { plaintextOnly } from './tls-failure.ts'

type Rows = Record<string, unknown>[]

/** An open session on the server. */
export type Link = {
  entry: Entry
  /** Host and port as they were given, for errors. */
  server: string
  /** The role that logged in. */
  role: string
  /** The server process of this session, as the login named it; NULL if it named none. */
  processId: number | null
  /**
   * Runs statements in one message of the simple protocol, and returns the rows of each statement.
   * @throws SlotkeeperError of kind `query` or `unreachable`
   */
  query(sql: string, timeoutMs: number): Promise<Rows[]>
  /**
   * Runs single statements in one message, as `query` does. From the second call on, the session keeps them prepared, so
   * the server parses and plans each of them once. Use it for the statements of every minute.
   */
  run(statements: readonly string[], timeoutMs: number): Promise<Rows[]>
  /** False once the connection is lost or a statement got no answer. */
  alive(): boolean
  /** Ends the session. It waits for at most 0.5 s and never throws. */
  close(): Promise<void>
}

/** A setting that the server reports at the login. The driver emits it, but the driver's types lack it. */
type ParameterStatus = { parameterName: string; parameterValue: string }

/** The server itself cancels a statement after this time, a little after the sweep has given up on it. */
const STATEMENT_TIMEOUT_MS = 25_000
const GOODBYE_MS = 500

const YES_TLS = Buffer.from('S')
const NO_TLS = Buffer.from('N')

/**
 * Opens one session, as an ordinary client or as a walsender (`replication=database`). Walsenders have slots
 * of their own (`max_wal_senders`), and can run SQL by the simple protocol.
 * @param timeoutMs for the connection and the login together
 * @param unpinned settings that keep the value they have for the role
 * @throws SlotkeeperError of kind `exhausted`, `limited`, `authentication`, `forbidden`, `unreachable` or
 *   `tls`
 */
export async function connect(
  credentials: Credentials,
  tls: Tls,
  entry: 'client' | 'walsender',
  timeoutMs: number,
  unpinned: string[] = [],
): Promise<Link> {
  refusePooler(credentials)
  const { host, address = host, port, user, password, database, methods } = credentials
  // Created here, because destroying its socket is the only way out of a hung connection.
  const socket = new Socket()
  const config = {
    host: address,
    port,
    user,
    // A function, which the driver calls only if the server asks for a password. If this were an empty text,
    // the driver would look for a password in the environment and in files.
    password: () => {
      if (password !== '') return password
      throw new LoginRefused('password', 'the server asks for a password, and none is given')
    },
    database,
    ssl: tls && tlsOptions(tls, host),
    // Set here, because otherwise the driver reads it from the environment. With `direct`, it would not send
    // the TLS request, and the code below waits for the answer to that request.
    sslnegotiation: 'postgres' as const,
    // Ties the password's proof to this TLS connection (SCRAM-SHA-256-PLUS). An attacker then can't relay the
    // login, not even with a certificate that is trusted here.
    enableChannelBinding: tls !== false,
    stream: () => socket,
    application_name: APPLICATION_NAME,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    options: startUpOptions(unpinned),
    keepAlive: true,
    ...(entry === 'walsender' ? { replication: 'database' } : {}),
  }
  const client = createClient(config, {
    methods,
    requireBinding: tls !== false && tls.requireBinding,
  })
  let lost = false
  // Without a listener, an error on the idle connection would end the process when the function thaws.
  client.on('error', () => {
    lost = true
  })
  client.on('end', () => {
    lost = true
  })

  let toTls: Buffer | undefined
  if (tls) {
    // Keep the answer to the TLS request: if it is not yes, the driver's error has only a text, and no code.
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

  const query = async (sql: string, queryTimeoutMs: number): Promise<Rows[]> => {
    try {
      // The driver reads `query_timeout` of a single query, but the driver's types lack it.
      const config = { text: sql, query_timeout: queryTimeoutMs }
      const results: unknown = await client.query(config)
      return [results].flat().map((result) => (result as { rows: Rows }).rows)
    } catch (error) {
      if (!(error instanceof DatabaseError) || isFatal(error)) {
        lost = true
        socket.destroy()
      }
      throw classify(error, credentials, 'statement')
    }
  }

  return {
    entry,
    server: `${host}:${port}`,
    role: user,
    processId: (client as Client & { processID: number | null }).processID,
    alive: () => !lost,
    query,
    run: createRunner(query),
    async close() {
      const timer = setTimeout(() => socket.destroy(), GOODBYE_MS)
      // An error does not matter here: the socket only has to end, and a broken socket has ended.
      await client.end().catch(() => undefined)
      clearTimeout(timer)
      socket.destroy()
    },
  }
}

/** Returns the `run` of a link. */
function createRunner(query: Link['query']): Link['run'] {
  const prepared = new Map<string, string>()
  let attempts = -1
  return async (statements, timeoutMs) => {
    attempts += 1
    // Until the first answer shows whose session this is, a pooler may be there. What is prepared would stay in a
    // session of its pool.
    if (attempts === 0) return query(statements.join('; '), timeoutMs)
    // A statement stays prepared even if the message fails after it. So each attempt has names of its own.
    const names = statements.map(
      (sql, index) => prepared.get(sql) ?? `slotkeeper_${attempts}_${index}`,
    )
    const unknown = statements.flatMap((sql, index) =>
      prepared.has(sql) ? [] : [`prepare ${names[index]} as ${sql}`],
    )
    const executions = names.map((name) => `execute ${name}`)
    const answers = await query([...unknown, ...executions].join('; '), timeoutMs)
    statements.forEach((sql, index) => {
      prepared.set(sql, names[index] as string)
    })
    return answers.slice(unknown.length)
  }
}
