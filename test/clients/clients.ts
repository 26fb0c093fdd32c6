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
  php: ['php-cli', 'php-fpm', 'php-pgsql', 'nginx-light', 'php-illuminate-events'],
  python: ['python3', 'python3-psycopg2'],
  java: ['default-jdk-headless', 'libpostgresql-jdbc-java', 'libslf4j-java'],
  ruby: ['ruby-pg'],
  go: ['golang-go'],
}

/** The packages of Debian that a client needs. */
export function packagesOf({ runtime, package: name }: Client): string[] {
  return runtime === 'npm' ? [] : [...COMMON[runtime], name]
}

const node = (
  name: string,
  library: string,
  file: string,
  hasSetting: boolean,
  from = name,
): Client => ({
  name,
  runtime: 'npm',
  library,
  package: from,
  program: ['node', `node/${file}.mjs`],
  hasSetting,
})

const php = (
  name: string,
  library: string,
  from: string,
  program: Client['program'],
  hasSetting: boolean,
): Client => ({
  name,
  runtime: 'php',
  library,
  package: from,
  program,
  hasSetting,
})

const python = (
  name: string,
  library: string,
  from: string,
  file: string,
  hasSetting: boolean,
): Client => ({
  name,
  runtime: 'python',
  library,
  package: `python3-${from}`,
  program: ['/usr/bin/python3', `python/${file}.py`],
  hasSetting,
})

const java = (
  name: string,
  library: string,
  from: string,
  file: string,
  jars: string[],
  hasSetting: boolean,
): Client => ({
  name,
  runtime: 'java',
  library,
  package: from,
  program: [
    'sh',
    'java/run.sh',
    file,
    ['postgresql.jar', ...jars].map((jar) => `/usr/share/java/${jar}`).join(':'),
  ],
  hasSetting,
})

const ruby = (
  name: string,
  library: string,
  from: string,
  file: string,
  hasSetting: boolean,
): Client => ({
  name,
  runtime: 'ruby',
  library,
  package: `ruby-${from}`,
  program: ['ruby', `ruby/${file}.rb`],
  hasSetting,
})

const go = (
  name: string,
  library: string,
  from: string,
  file: string,
  hasSetting: boolean,
): Client => ({
  name,
  runtime: 'go',
  library,
  package: `golang-github-${from}-dev`,
  program: ['go', 'run', `go/${file}.go`, 'go/rounds.go'],
  hasSetting,
})

const LOGGING = ['slf4j-api.jar', 'slf4j-nop.jar']

export const CLIENTS: Client[] = [
  node('node-postgres, Pool', 'node-postgres', 'pg-pool', true, 'pg'),
  node('node-postgres, checked out', 'node-postgres', 'pg-checked-out', true, 'pg'),
  node('node-postgres, one Client', 'node-postgres', 'pg-client', true, 'pg'),
  node('Drizzle', 'drizzle-kysely', 'drizzle', true, 'drizzle-orm'),
  node('Kysely', 'drizzle-kysely', 'kysely', true, 'kysely'),
  node('pg-boss', 'pg-boss', 'pg-boss', true),
  node('postgres.js', 'postgres.js', 'postgres-js', false, 'postgres'),
  node('Knex', 'node-orm', 'knex', false, 'knex'),
  node('Sequelize', 'node-orm', 'sequelize', false, 'sequelize'),
  node('TypeORM', 'node-orm', 'typeorm', false, 'typeorm'),
  node('Prisma', 'node-orm', 'prisma', false, '@prisma/client'),
  node('slonik', 'node-orm', 'slonik', false),
  node('pg-promise', 'node-orm', 'pg-promise', false),
  php('PDO, long-lived process', 'pdo', 'php-cli', ['php', 'php/pdo.php'], true),
  php('PHP-FPM', 'pdo', 'php-cli', ['node', 'php/fpm.mjs', 'page'], false),
  php('PHP-FPM, persistent', 'pdo', 'php-cli', ['node', 'php/fpm.mjs', 'page', 'persistent'], true),
  php(
    'PHP-FPM, slow call between two queries',
    'pdo',
    'php-cli',
    ['node', 'php/fpm.mjs', 'slow-page'],
    true,
  ),
  php(
    'Laravel, query builder',
    'laravel',
    'php-illuminate-database',
    ['php', 'php/laravel.php', 'builder'],
    false,
  ),
  php(
    'Laravel, getPdo()',
    'laravel',
    'php-illuminate-database',
    ['php', 'php/laravel.php', 'pdo'],
    true,
  ),
  {
    ...php(
      'Laravel, open transaction',
      'laravel',
      'php-illuminate-database',
      ['php', 'php/laravel-transaction.php'],
      true,
    ),
    inTransaction: true,
  },
  php(
    'Laravel, queue worker',
    'laravel',
    'php-illuminate-queue',
    ['php', 'php/laravel-queue.php'],
    true,
  ),
  php('Doctrine DBAL', 'doctrine', 'php-doctrine-dbal', ['php', 'php/doctrine.php'], true),
  python('psycopg 3', 'psycopg', 'psycopg', 'psycopg3', true),
  python('psycopg_pool', 'psycopg', 'psycopg-pool', 'psycopg_pool_', true),
  python('psycopg2', 'psycopg', 'psycopg2', 'psycopg2_', true),
  python('SQLAlchemy', 'sqlalchemy', 'sqlalchemy', 'sqlalchemy_', true),
  python('Django, persistent', 'django', 'django', 'django_persistent', true),
  python('Django, command', 'django', 'django', 'django_command', true),
  python('asyncpg', 'asyncpg', 'asyncpg', 'asyncpg_', false),
  java('pgJDBC, no pool', 'jdbc', 'libpostgresql-jdbc-java', 'Bare', [], true),
  // It tests what was idle for over 500 ms.
  {
    ...java('HikariCP', 'jdbc', 'libhikaricp-java', 'Hikari', ['HikariCP.jar', ...LOGGING], false),
    idleMs: 1_000,
  },
  java(
    'DBCP2',
    'jdbc',
    'libcommons-dbcp2-java',
    'Dbcp',
    ['commons-dbcp2.jar', 'commons-pool2.jar', 'commons-logging.jar'],
    false,
  ),
  {
    ...java(
      'Tomcat JDBC pool',
      'tomcat',
      'libtomcat9-java',
      'Tomcat',
      ['tomcat9-jdbc.jar', 'tomcat9-juli.jar'],
      true,
    ),
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
