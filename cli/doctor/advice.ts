import type { Case, Fleet } from './case.ts'
import type { Remedy } from './diagnosis.ts'
import type { Framework } from './recognise.ts'
import { needOf, proposedSize, roomFor, whySize } from './sizes.ts'
import { plural } from './words.ts'

/**
 * Numbers to paste into an application. `each` is the size of a pool for one client address. `processes` is how many
 * processes with a session each may run there, so that all of them fit into the slots.
 */
type Sizes = { each: number; processes: number }

type Snippet = { name: string; lines: (sizes: Sizes) => string; why: string }

const GIVE_BACK =
  'Event::listen([JobProcessed::class, JobFailed::class,\n    JobExceptionOccurred::class], fn () => DB::disconnect());'

/** In the order in which to do them. */
const SNIPPETS: Record<string, Snippet[]> = {
  'laravel-queue': [
    {
      name: 'Laravel queue workers or Horizon',
      lines: () => GIVE_BACK,
      why: 'Gives the session back after each job. It does not help with the database queue, whose workers ask the database every few seconds: there, run fewer workers.',
    },
    {
      name: 'Laravel Horizon',
      lines: ({ processes }) =>
        `'maxProcesses' => ${processes}, // config/horizon.php, on each host`,
      why: 'Each worker process holds a session for as long as it lives.',
    },
  ],
  octane: [
    {
      name: 'Laravel Octane',
      lines: () =>
        'OperationTerminated::class => [\n    FlushTemporaryContainerInstances::class,\n    DisconnectFromDatabases::class,\n], // config/octane.php',
      why: 'Octane keeps the session of each worker between requests. This gives it back after each one.',
    },
  ],
  php: [
    {
      name: 'PHP (a long-lived process: a queue worker, a daemon, a command)',
      lines: () =>
        `${GIVE_BACK} // Laravel\n$db->close(); // Doctrine, after each message\n$pdo = null; // PDO, with all of its statements`,
      why: 'A long-lived PHP process keeps its session until it gives it back. With PHP-FPM and no persistent connections, a session ends with its request.',
    },
    {
      name: 'PHP-FPM',
      lines: ({ processes }) =>
        `PDO::ATTR_PERSISTENT => false, // in the options of the connection\npm.max_children = ${processes} ; in the pool's configuration of PHP-FPM, on each host`,
      why: 'With persistent connections each child of PHP-FPM holds a session for good, so pm.max_children is the number of slots.',
    },
  ],
  'node-postgres': [
    {
      name: 'node-postgres',
      lines: ({ each }) =>
        `const pool = new pg.Pool({ max: ${each}, idleTimeoutMillis: 10_000 })\npool.on('error', log); pool.on('connect', (client) => client.on('error', log))`,
      why: 'One pool for each process, made once. On AWS Lambda the timers stand still while the function is frozen: use max: 1 and maxUses: 1 there. Without both listeners a session that the server ends takes the process with it.',
    },
  ],
  'postgres-js': [
    {
      name: 'postgres.js',
      lines: ({ each }) => `postgres(url, { max: ${each}, idle_timeout: 20 })`,
      why: 'Without idle_timeout (s) postgres.js never closes an idle connection.',
    },
  ],
  prisma: [
    {
      name: 'Prisma',
      lines: ({ each }) =>
        `new PrismaPg({ connectionString, max: ${each}, idleTimeoutMillis: 10_000 }) // Prisma 7\nDATABASE_URL="…?connection_limit=${each}" # Prisma up to 6`,
      why: 'One PrismaClient for each process. Up to 6 its pool has by default one connection more than twice the processor cores.',
    },
  ],
  hikari: [
    {
      name: 'HikariCP or another JDBC pool',
      lines: ({ each }) =>
        `spring.datasource.hikari.maximum-pool-size=${each}\nspring.datasource.hikari.minimum-idle=1\nspring.datasource.hikari.idle-timeout=60000`,
      why: 'By default HikariCP keeps its maximum of 10 open for good: idle-timeout works only with a lower minimum-idle.',
    },
  ],
  sqlalchemy: [
    {
      name: 'SQLAlchemy or another Python pool',
      lines: ({ each }) =>
        `create_engine(url, pool_size=${each}, max_overflow=0, pool_pre_ping=True)`,
      why: 'One engine for each process. SQLAlchemy never closes a connection of its pool because it is idle.',
    },
  ],
  django: [
    {
      name: 'Django',
      lines: () =>
        "DATABASES = {'default': {..., 'CONN_MAX_AGE': 0}}\nclose_old_connections() # in a command or a worker, after each piece of work",
      why: 'CONN_MAX_AGE is looked at by the next request only: until then the session stays. Each thread has a session of its own; with ASGI leave CONN_MAX_AGE at 0.',
    },
  ],
  rails: [
    {
      name: 'Rails',
      lines: ({ each }) =>
        `pool: ${each} # config/database.yml, for each process: its threads\nidle_timeout: 60\nreaping_frequency: 10`,
      why: 'ActiveRecord closes connections that are idle for idle_timeout (300 s by default), if their threads gave them back.',
    },
  ],
  pgx: [
    {
      name: 'pgx',
      lines: ({ each }) =>
        `config.MaxConns = ${each}\nconfig.MaxConnIdleTime = time.Minute\nconfig.HealthCheckPeriod = 10 * time.Second`,
      why: 'pgxpool closes idle connections only after MaxConnIdleTime, 30 minutes by default. With database/sql: SetMaxOpenConns, SetConnMaxIdleTime.',
    },
  ],
}

/** With one connection, work that asks for a second one waits for ever. */
const LEAST_EACH = 2

/** What to change in the application that probably opened the sessions of a fleet. */
export function adviseApplication(now: Case, fleet: Fleet): Remedy[] {
  const { recognised, clients } = fleet
  const { framework, by } = recognised
  const need = needOf(now, fleet)
  const all = proposedSize(need)
  const most = Math.max(1, Math.floor(roomFor(now, fleet.pool.user) / clients))
  const hosts = plural(clients, 'client address', 'client addresses')
  const sizes = {
    each: Math.max(Math.min(LEAST_EACH, most), Math.ceil(all / clients)),
    processes: most,
  }
  const enough = Math.ceil(all / clients)
  const leastEach = sizes.each > enough ? `, and ${sizes.each} for each address` : ''
  const ofPool = `About ${Math.max(all, sizes.each * clients)} in all are enough for ${hosts}: ${whySize(need)}${leastEach}. That leaves room for a rolling deployment. If a host runs several processes, divide its number by them.`
  const ofProcesses = `With this many ${clients === 1 ? 'there' : `on each of ${hosts}`}, the other roles still get in.`
  const snippets = framework === undefined ? undefined : SNIPPETS[framework]
  if (snippets === undefined) {
    return [
      {
        kind: 'application',
        text: `maximum pool size ${sizes.each} for each client address, idle timeout 60 s; give the connection back after each piece of work`,
        why: `Nothing shows what opened these sessions. ${ofPool}`,
      },
    ]
  }
  return snippets.map(({ name, lines, why }) => {
    const text = lines(sizes)
    const isSized = lines({ ...sizes, each: -1 }) !== text
    const isCounted = lines({ ...sizes, processes: -1 }) !== text
    return {
      kind: 'application',
      text,
      why: [
        `Probably ${name}, by ${by}.`,
        why,
        ...(isSized ? [ofPool] : []),
        ...(isCounted ? [ofProcesses] : []),
      ].join(' '),
    }
  })
}

/** Lines for pgbouncer.ini. */
export function poolerLines(database: string, size: number): string {
  const name = /^\w+$/.test(database) ? database : '*'
  const entry =
    name === '*' ? '* = host=HOST port=PORT' : `${name} = host=HOST port=PORT dbname=${name}`
  return `[databases]\n${entry}\n[pgbouncer]\npool_mode = transaction\ndefault_pool_size = ${size}\nmax_client_conn = 1000\nserver_idle_timeout = 60`
}

/** What a name for the sessions looks like in the application's settings. */
export function nameApplication(framework: Framework | undefined): string {
  switch (framework) {
    case 'php':
    case 'laravel-queue':
    case 'octane':
      return "'application_name' => 'shop-queue', // Laravel: config/database.php; PDO: add to the DSN"
    case 'rails':
      return 'variables:\n  application_name: shop-web # config/database.yml'
    case 'hikari':
      return 'jdbc:postgresql://HOST/DATABASE?ApplicationName=shop-web'
    case 'django':
      return "'OPTIONS': {'application_name': 'shop-web'}"
    default:
      return 'postgres://…/DATABASE?application_name=shop-web'
  }
}
