import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll } from 'vitest'
import type { Lambda } from '../../stand-ins/lambda.ts'
import { freePort } from '../../stand-ins/postgres.ts'
import { type Fate, startProxy } from '../../stand-ins/proxy.ts'
import { testAuthority } from './authority.ts'
import { startFunction } from './function.ts'
import { type Role, type TestServer, testServer } from './server.ts'

const DOMAIN = 'abc123xyz456.eu-central-1.rds.amazonaws.com'
/** 127.0.0.1 belongs to the AWS stand-in and the servers themselves. */
const FIRST_ADDRESS = 11

export const CLUSTER = `shop.cluster-${DOMAIN}`
export const READERS = `shop.cluster-ro-${DOMAIN}`
export const hostOf = (id: string) => `${id}.${DOMAIN}`

/** What `aurora_replica_status()` says of one instance. */
type Status = { id: string; writer?: boolean; silentSeconds?: number }

/** One instance: a real server behind a network of its own, with an address of its own. */
export type TestInstance = {
  id: string
  db: TestServer
  proxy: Awaited<ReturnType<typeof startProxy>>
  address: string
  /** From now on nothing comes through any more, and nothing is refused either. */
  hang(): void
  recover(): void
}

/**
 * A cluster of real servers that plays Aurora's. Each has an address, a name and a certificate of its own, and the
 * functions with which Aurora tells of the others.
 */
export async function testAurora(ids: string[], settings: Record<string, string> = {}) {
  const authority = testAuthority()
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-aurora-'))
  // PostgreSQL may run as another user.
  chmodSync(folder, 0o755)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const statusFile = join(folder, 'status.json')
  const namesFile = join(folder, 'names.json')
  const names = new Map<string, string>()
  const write = (file: string, content: unknown) => {
    writeFileSync(`${file}.new`, JSON.stringify(content))
    chmodSync(`${file}.new`, 0o644)
    renameSync(`${file}.new`, file)
  }
  const port = await freePort()

  async function start(id: string, index: number): Promise<TestInstance> {
    const { cert, key } = authority.certify(id, [hostOf(id), CLUSTER, READERS])
    const db = await testServer({ ssl: 'on', ssl_cert_file: cert, ssl_key_file: key, ...settings })
    await play(db, id, statusFile)
    const address = `127.0.0.${FIRST_ADDRESS + index}`
    const proxy = await startProxy(
      { host: '127.0.0.1', port: db.server.port },
      { at: { host: address, port } },
    )
    afterAll(() => proxy.close())
    const judge = (fate: Fate) => () => fate
    return {
      id,
      db,
      proxy,
      address,
      hang: () => {
        proxy.judge = judge('lose')
      },
      recover: () => {
        proxy.judge = judge('pass')
        proxy.cut()
      },
    }
  }

  const instances = await Promise.all(ids.map(start))
  const aurora = {
    instances,
    authority,
    port,
    /** The instance of this name. */
    of: (id: string) => instances.find((instance) => instance.id === id) as TestInstance,

    /** What the instances say of each other from now on. The first one without more is the writer. */
    say(...status: (Status | string)[]): void {
      write(
        statusFile,
        status.map((one, index) => {
          const {
            id,
            writer = index === 0,
            silentSeconds = 0.1,
          } = typeof one === 'string' ? { id: one } : one
          return {
            server_id: id,
            session_id: writer ? 'MASTER_SESSION_ID' : `session of ${id}`,
            silent: silentSeconds,
          }
        }),
      )
    },

    /** Lets a name lead to the address of an instance, or to nothing. */
    lead(name: string, id: string | undefined): void {
      if (id === undefined) names.delete(name)
      else names.set(name, aurora.of(id).address)
      write(namesFile, Object.fromEntries(names))
    },

    /** Makes the same role on every instance: on Aurora they share one storage. */
    async role(user: string, memberOf: string[] = [], attributes = ''): Promise<Role> {
      const [role] = await Promise.all(
        instances.map(({ db }) => db.role(user, memberOf, attributes)),
      )
      return role as Role
    },

    /** The variables of a function, or of a command, to which these names resolve. */
    network: () => ({
      NODE_OPTIONS: `--import=${resolve('stand-ins/names.mjs')}`,
      TEST_NAMES: namesFile,
    }),

    /** The built function for this cluster. */
    start(awsUrl: string, environment: Record<string, string | undefined> = {}): Promise<Lambda> {
      return startFunction(awsUrl, {
        ...aurora.network(),
        SLOTKEEPER_CLUSTER: 'aurora',
        SLOTKEEPER_HOST: CLUSTER,
        SLOTKEEPER_PORT: String(port),
        SLOTKEEPER_TLS: 'verify-full',
        SLOTKEEPER_CA_FILE: authority.file,
        ...environment,
      })
    },
  }
  for (const { id } of instances) aurora.lead(hostOf(id), id)
  aurora.lead(CLUSTER, ids[0])
  aurora.say(...ids)
  return aurora
}

export type TestAurora = Awaited<ReturnType<typeof testAurora>>

/**
 * The functions of Aurora, with as many of their columns as anybody reads. An instance has no time of the last
 * update for itself.
 */
export async function play({ admin }: TestServer, id: string, statusFile: string): Promise<void> {
  await admin.query(`
    create function pg_catalog.aurora_db_instance_identifier() returns text language sql as $$
      select '${id}'
    $$`)
  await admin.query(`
    create function pg_catalog.aurora_replica_status() returns table (
      server_id text, session_id text, durable_lsn bigint, last_update_timestamp timestamptz, replica_lag_in_msec float8
    ) language sql security definer as $$
      select r.server_id, r.session_id, null::bigint,
        case when r.server_id <> '${id}' then clock_timestamp() - r.silent * interval '1 s' end, 0::float8
      from jsonb_to_recordset(pg_read_file('${statusFile}')::jsonb)
        as r (server_id text, session_id text, silent float8)
    $$`)
}
