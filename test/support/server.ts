import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Client, escapeIdentifier, escapeLiteral, Pool } from 'pg'
import { afterAll, inject } from 'vitest'
import { type Server, startPostgres } from '../../cli/rehearse/postgres.ts'
import type { Credentials } from '../../lambda/aws/credentials.ts'
import { connect, type Link } from '../../lambda/postgres/connect.ts'
import { trust } from './trust.ts'

const LIMIT_MS = 10_000

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
  const opened: Client[] = []
  afterAll(async () => {
    await Promise.all(opened.map((client) => client.end().catch(() => undefined)))
    await admin.end()
    await server.stop()
  })

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
      opened.push(client)
      for (const statement of statements) await client.query(statement)
      // Set by the driver from the server's greeting, and missing from its types.
      const { processID: pid } = client as Client & { processID: number }
      await this.settled(pid)
      return { client, pid, ended, isAlive: () => alive }
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

    /** Fills the server with idle sessions of a role until one is refused; returns them. */
    async fill(role: Role): Promise<OtherSession[]> {
      const sessions: OtherSession[] = []
      for (;;) {
        try {
          sessions.push(await this.open(role, 'filler'))
        } catch {
          return sessions
        }
      }
    },

    /** Ends all sessions that were opened here. */
    async endAll(): Promise<void> {
      await Promise.all(opened.splice(0).map((client) => client.end().catch(() => undefined)))
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

/** Polls until it holds; tests never sleep for an effect. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  limitMs = LIMIT_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('waited in vain')
    await pause(10)
  }
}

/**
 * Shuts the server down and starts it again on the same files and port, after `between`.
 * @param signal SIGINT shuts it down fast, SIGQUIT immediately
 * @returns it as it runs now
 */
export async function restart(
  server: Server,
  signal: 'SIGINT' | 'SIGQUIT',
  between: (data: string) => unknown = () => undefined,
): Promise<Server> {
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
  return {
    ...server,
    process: again,
    async stop() {
      again.kill('SIGINT')
      await exited
      await server.stop()
    },
  }
}
