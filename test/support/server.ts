import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Client, type DatabaseError, escapeIdentifier, escapeLiteral, Pool } from 'pg'
import { afterAll, afterEach, beforeEach, inject, onTestFinished } from 'vitest'
import type { Credentials } from '../../lambda/core/credentials.ts'
import { connect, type Link } from '../../lambda/postgres/connect.ts'
import { type Server, startPostgres } from '../../stand-ins/postgres.ts'
import { isRunning } from './process.ts'
import { trust } from './trust.ts'
import { until } from './until.ts'

export { until } from './until.ts'

const LIMIT_MS = 30_000

const TOO_MANY_CONNECTIONS = '53300'

export type Role = { user: string; password: string }

/** Another program's session, whose end can be awaited. */
export type OtherSession = {
  client: Client
  pid: number
  ended: Promise<unknown>
  isAlive(): boolean
}

declare module 'vitest' {
  interface ProvidedContext {
    /** The npm package of the PostgreSQL release to test on; the newest where there is none. */
    release?: string
  }
}

/** The major that these tests run on, for what earlier ones lack. */
export const MAJOR = Number(inject('release')?.replace('postgres-', '') ?? Number.POSITIVE_INFINITY)

/** A server of the test file's own with a superuser's connection; both go when the file is done. */
export async function testServer(settings: Record<string, string> = {}) {
  const server = await startPostgres(settings, inject('release'))
  // One connection, on which queries wait for their turn, and which comes back after a restart.
  const admin = new Pool({
    connectionString: server.url(),
    application_name: 'test admin',
    max: 1,
    idleTimeoutMillis: 0,
  })
  // A connection that is lost is made anew by the next query.
  admin.on('error', () => undefined)
  const opened: OtherSession[] = []
  // A test leaves the server as it found it, whether it passed or not: the next one counts sessions
  // and fills slots. What was opened outside of tests stays.
  let before = 0
  beforeEach(() => {
    before = opened.length
  })
  afterEach(async () => {
    await end(opened.splice(before))
  })
  // First of all the server, since a client waits for the end of its query before it goes.
  afterAll(async () => {
    await server.stop()
    await Promise.all(opened.map(({ client }) => client.end().catch(() => undefined)))
    await admin.end()
  })

  /** Ends sessions, whatever they do, and waits until the server has their slots back. */
  async function end(sessions: OtherSession[]): Promise<void> {
    if (sessions.length === 0) return
    const pids = sessions.map(({ pid }) => pid)
    await admin.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid = any($1)',
      [pids],
    )
    await until(() => !pids.some(isRunning))
  }

  return {
    server,
    admin,

    /** Makes a role; `attributes` as in CREATE ROLE, `memberOf` what it is granted. */
    async role(user: string, memberOf: string[] = [], attributes = ''): Promise<Role> {
      const password = `secret of ${user}`
      const name = escapeIdentifier(user)
      await admin.query(
        `create role ${name} login ${attributes} password ${escapeLiteral(password)}`,
      )
      for (const role of memberOf) await admin.query(`grant ${escapeIdentifier(role)} to ${name}`)
      return { user, password }
    },

    trust: ({ user }: Role) => trust(admin, user),

    /** Opens a session, runs its statements, and waits until the server waits for the next one. */
    async open(
      role: Role | undefined,
      application: string,
      ...statements: string[]
    ): Promise<OtherSession> {
      const client = new Client({
        connectionString: server.url(role),
        application_name: application,
      })
      let alive = true
      const ended = new Promise<void>((resolve) => {
        client.on('error', () => resolve())
        client.on('end', () => resolve())
      }).then(() => {
        alive = false
      })
      await client.connect()
      // Set by the driver from the server's greeting, and missing from its types.
      const { processID: pid } = client as Client & { processID: number }
      const session = { client, pid, ended, isAlive: () => alive }
      opened.push(session)
      for (const statement of statements) await client.query(statement)
      await this.settled(pid)
      return session
    },

    /** Waits until the server waits for its next query; a client knows of an error before that. */
    settled(pid: number): Promise<void> {
      return until(async () => {
        const { rows } = await admin.query(
          'select wait_event from pg_stat_activity where pid = $1',
          [pid],
        )
        return rows[0]?.wait_event === 'ClientRead'
      })
    },

    end,

    /** Fills the server with idle sessions of a role until one is refused; returns them. */
    async fill(role: Role): Promise<OtherSession[]> {
      const sessions: OtherSession[] = []
      for (;;) {
        try {
          sessions.push(await this.open(role, 'filler'))
        } catch (error) {
          if ((error as DatabaseError).code !== TOO_MANY_CONNECTIONS) throw error
          return sessions
        }
      }
    },

    /** Ends all sessions that were opened here. */
    async endAll(): Promise<void> {
      await end(opened.splice(0))
    },

    async stateOf(pid: number): Promise<string | undefined> {
      const { rows } = await admin.query('select state from pg_stat_activity where pid = $1', [pid])
      return rows[0]?.state
    },

    credentials(role: Role, database = 'postgres'): Credentials {
      return { host: server.host, port: server.port, database, ...role }
    },

    link(role: Role): Promise<Link> {
      return connect(this.credentials(role), false, 'client', LIMIT_MS)
    },
  }
}

export type TestServer = Awaited<ReturnType<typeof testServer>>

export const REAPER_ROLES = ['pg_monitor', 'pg_signal_backend']

/**
 * Shuts the server down and starts it again on the same files and port, for as long as the test runs.
 * @param signal SIGINT shuts it down fast, SIGQUIT immediately
 */
export async function restart(
  server: Server,
  signal: 'SIGINT' | 'SIGQUIT',
  between: (data: string) => unknown = () => undefined,
): Promise<void> {
  const { spawnargs, spawnfile } = server.process
  server.process.kill(signal)
  await once(server.process, 'exit')
  const data = spawnargs[spawnargs.indexOf('-D') + 1] as string
  await between(data)
  const asRoot = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  const again = spawn(spawnfile, spawnargs.slice(1), {
    ...asRoot,
    cwd: data,
    env: { LC_ALL: 'C' },
    stdio: 'ignore',
  })
  const exited = once(again, 'exit')
  onTestFinished(async () => {
    again.kill('SIGINT')
    await exited
  })
}
