/** Whether the setting of docs/clients.md is on. */
export type Setting = 'off' | 'on'

/** A client of PostgreSQL, as a program of this folder uses it. */
export type Client = {
  /** As its row in docs/clients.md is called. */
  name: string
  /** The runtime that it needs; also a name for all of its clients. */
  runtime: Runtime
  /** The `id` of its library in cli/clients.ts, which has its setting. */
  library: string
  /** The package that has its version. */
  package: string
  /** The program and its arguments, from this folder. */
  program: [string, ...string[]]
  /** Its setting is what the library's section of docs/clients.md says; without it, it is run as it comes only. */
  hasSetting: boolean
  /** It holds a transaction open over the pause. */
  inTransaction?: boolean
  /** How long a session must be idle until it is ended, ms; a pool may test only what was idle for a while. */
  idleMs?: number
}

export type Runtime = 'npm' | 'php' | 'python' | 'java' | 'ruby' | 'go'

/** What each runtime needs from Debian, besides the package of the client. */
const COMMON: Record<Runtime, string[]> = {
  npm: [],
  php: [
    'php-cli',
    'php-fpm',
    'php-pgsql',
    'nginx-light',
    'php-illuminate-database',
    'php-illuminate-events',
  ],
  python: ['python3', 'python3-psycopg2'],
  java: ['default-jdk-headless', 'libpostgresql-jdbc-java', 'libslf4j-java'],
  ruby: ['ruby-pg'],
  go: ['golang-go'],
}

/** The packages of Debian that a client needs. */
export function packagesOf({ runtime, package: name }: Client): string[] {
  return runtime === 'npm' ? [] : [...COMMON[runtime], name]
}

/** How the clients of a runtime are installed and started. */
type Kind = {
  runtime: Runtime
  packageOf(name: string): string
  programOf(words: string): Client['program']
}

const kind =
  ({ runtime, packageOf, programOf }: Kind) =>
  (name: string, library: string, from: string, words: string, hasSetting: boolean): Client => ({
    name,
    runtime,
    library,
    package: packageOf(from),
    program: programOf(words),
    hasSetting,
  })

const node = kind({
  runtime: 'npm',
  packageOf: (name) => name,
  programOf: (file) => ['node', `node/${file}.mjs`],
})

const php = kind({
  runtime: 'php',
  packageOf: (name) => `php-${name}`,
  programOf: (words) => {
    const [file = '', ...args] = words.split(' ')
    return [file.endsWith('.mjs') ? 'node' : 'php', `php/${file}`, ...args]
  },
})

const python = kind({
  runtime: 'python',
  packageOf: (name) => `python3-${name}`,
  programOf: (file) => ['/usr/bin/python3', `python/${file}.py`],
})

const java = kind({
  runtime: 'java',
  packageOf: (name) => `lib${name}-java`,
  programOf: (words) => {
    const [file = '', ...jars] = words.split(' ')
    const classPath = ['postgresql', ...jars].map((jar) => `/usr/share/java/${jar}.jar`).join(':')
    return ['sh', 'java/run.sh', file, classPath]
  },
})

const ruby = kind({
  runtime: 'ruby',
  packageOf: (name) => `ruby-${name}`,
  programOf: (file) => ['ruby', `ruby/${file}.rb`],
})

const go = kind({
  runtime: 'go',
  packageOf: (name) => `golang-github-${name}-dev`,
  programOf: (file) => ['go', 'run', `go/${file}.go`, 'go/rounds.go'],
})

export const CLIENTS: Client[] = [
  node('node-postgres, Pool', 'node-postgres', 'pg', 'pg-pool', true),
  node('node-postgres, checked out', 'node-postgres', 'pg', 'pg-checked-out', true),
  node('node-postgres, one Client', 'node-postgres', 'pg', 'pg-client', true),
  node('Drizzle', 'drizzle-kysely', 'drizzle-orm', 'drizzle', true),
  node('Kysely', 'drizzle-kysely', 'kysely', 'kysely', true),
  node('pg-boss', 'pg-boss', 'pg-boss', 'pg-boss', true),
  node('postgres.js', 'postgres.js', 'postgres', 'postgres-js', false),
  node('Knex', 'node-orm', 'knex', 'knex', false),
  node('Sequelize', 'node-orm', 'sequelize', 'sequelize', false),
  node('TypeORM', 'node-orm', 'typeorm', 'typeorm', false),
  node('Prisma', 'node-orm', '@prisma/client', 'prisma', false),
  node('slonik', 'node-orm', 'slonik', 'slonik', false),
  node('pg-promise', 'node-orm', 'pg-promise', 'pg-promise', false),
  php('PDO, long-lived process', 'pdo', 'cli', 'pdo.php', true),
  php('PHP-FPM', 'pdo', 'cli', 'fpm.mjs page', false),
  php('PHP-FPM, persistent', 'pdo', 'cli', 'fpm.mjs page persistent', true),
  php('PHP-FPM, slow call between two queries', 'pdo', 'cli', 'fpm.mjs slow-page', true),
  php('Laravel, query builder', 'laravel', 'illuminate-database', 'laravel.php builder', false),
  php('Laravel, getPdo()', 'laravel', 'illuminate-database', 'laravel.php pdo', true),
  {
    ...php(
      'Laravel, open transaction',
      'laravel',
      'illuminate-database',
      'laravel-transaction.php',
      true,
    ),
    inTransaction: true,
  },
  php('Laravel, queue worker', 'laravel', 'illuminate-queue', 'laravel-queue.php', true),
  php('Doctrine DBAL', 'doctrine', 'doctrine-dbal', 'doctrine.php', true),
  python('psycopg 3', 'psycopg', 'psycopg', 'psycopg3', true),
  python('psycopg_pool', 'psycopg', 'psycopg-pool', 'psycopg_pool_', true),
  python('psycopg2', 'psycopg', 'psycopg2', 'psycopg2_', true),
  python('SQLAlchemy', 'sqlalchemy', 'sqlalchemy', 'sqlalchemy_', true),
  python('Django, persistent', 'django', 'django', 'django_persistent', true),
  python('Django, command', 'django', 'django', 'django_command', true),
  python('asyncpg', 'asyncpg', 'asyncpg', 'asyncpg_', false),
  java('pgJDBC, no pool', 'jdbc', 'postgresql-jdbc', 'Bare', true),
  {
    ...java('HikariCP', 'jdbc', 'hikaricp', 'Hikari HikariCP slf4j-api slf4j-nop', false),
    // It tests what was idle for over 500 ms.
    idleMs: 1_000,
  },
  java('DBCP2', 'jdbc', 'commons-dbcp2', 'Dbcp commons-dbcp2 commons-pool2 commons-logging', false),
  {
    ...java('Tomcat JDBC pool', 'tomcat', 'tomcat9', 'Tomcat tomcat9-jdbc tomcat9-juli', true),
    // It tests what it tested over 3 s ago.
    idleMs: 3_500,
  },
  ruby(
    'ActiveRecord, given back',
    'activerecord',
    'activerecord',
    'activerecord_given_back',
    false,
  ),
  ruby('ActiveRecord, kept by a thread', 'activerecord', 'activerecord', 'activerecord_kept', true),
  ruby('Sequel', 'sequel', 'sequel', 'sequel_', true),
  go('pgx v4, pool', 'pgx-v4', 'jackc-pgx-v4', 'pgx4', true),
  go('lib/pq', 'go-sql', 'lib-pq', 'libpq', false),
]
