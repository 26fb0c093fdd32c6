/** What is known about one library, measured with real clients: docs/clients.md says the same. */
export type ClientLibrary = {
  id: string
  name: string
  /** What it does as it comes when the server ends its idle session. */
  asItComes: string
  /** What helps, in words and as text to paste. */
  helps: string
  snippet?: { language: string; code: string }
  /**
   * How to recognise it. `application` and `query` are PostgreSQL's regular expressions, in any case, over the
   * application's name and the last query of a session. `command` is one over the words of a command,
   * `dependency` one over the names that the project's manifest lists.
   */
  signs: { application?: string; query?: string; command?: RegExp; dependency?: RegExp }
}

const BOTH_LISTENERS = {
  language: 'js',
  code: `const pool = new pg.Pool({ max: 10, idleTimeoutMillis: 10_000 })
pool.on('error', log)
pool.on('connect', (client) => client.on('error', log))`,
}

/** The more special first: an application on Knex also depends on node-postgres. */
export const CLIENT_LIBRARIES: ClientLibrary[] = [
  {
    id: 'pgbouncer',
    name: 'PgBouncer',
    asItComes:
      'In transaction mode, clients do not notice. In session mode, a client loses the session that it holds.',
    helps: 'Let PgBouncer close its idle server connections before the rule does.',
    snippet: { language: 'ini', code: 'server_idle_timeout = 20   ; under a rule of 30 s' },
    signs: { query: '^\\s*(abort\\s*;\\s*)?discard\\s+all\\M' },
  },
  {
    id: 'laravel',
    name: 'Laravel',
    asItComes:
      'The query builder connects again by itself. What uses getPdo() fails until the process is started anew. So does a process whose transaction was ended, until it asks by the query builder outside of a transaction.',
    helps:
      'Give the session back after each job, and before a slow call. Ask by the query builder. Connect again when a transaction fails.',
    snippet: {
      language: 'php',
      code: `Event::listen([JobProcessed::class, JobFailed::class, JobExceptionOccurred::class], fn () => DB::disconnect());
try { DB::transaction($work); } catch (PDOException $e) { DB::reconnect(); throw $e; }`,
    },
    signs: {
      query: '^\\s*(select \\* from|update|delete from) "(jobs|failed_jobs)"',
      command: /(^|\s|\/)artisan\b/,
      dependency: /^(laravel|illuminate)\//,
    },
  },
  {
    id: 'doctrine',
    name: 'Doctrine DBAL',
    asItComes: 'Every request fails until the process is started anew.',
    helps:
      'Close the connection after each piece of work. Symfony Messenger has doctrine_close_connection.',
    snippet: { language: 'php', code: '$db->close();' },
    signs: { dependency: /^doctrine\/(dbal|orm)$/ },
  },
  {
    id: 'pdo',
    name: 'PHP PDO',
    asItComes:
      'Every request of a long-lived process fails with HY000 until it is started anew. With PHP-FPM and no ATTR_PERSISTENT, no session is idle between requests.',
    helps: 'Connect again and try once more. The text of the error is all there is to go by.',
    snippet: {
      language: 'php',
      code: `function lost(PDOException $e): bool { return (bool) preg_match('/server closed the connection|connection has been closed|no connection to the server|terminating connection due to/', $e->getMessage()); }
$began = $db->inTransaction(); // asked before: a lost connection says yes
try { $rows = query($db); } catch (PDOException $e) { if ($began || !lost($e)) throw $e; $db = connect(); $rows = query($db); }`,
    },
    signs: { query: '^\\s*deallocate\\s+"?pdo_stmt_', command: /(^|\s|\/)php[\d.]*(\s|$)/ },
  },
  {
    id: 'pg-boss',
    name: 'pg-boss',
    asItComes: 'The process dies: its pool has no listener for the error.',
    helps: 'Listen for its errors.',
    snippet: { language: 'js', code: `boss.on('error', log)` },
    signs: { query: '\\mpgboss\\.', dependency: /^pg-boss$/ },
  },
  {
    id: 'drizzle-kysely',
    name: 'Drizzle or Kysely on node-postgres',
    asItComes: 'The process dies: the pool has no listener for the error.',
    helps: 'Give the pool both listeners. Drizzle has its pool in `db.$client`.',
    snippet: BOTH_LISTENERS,
    signs: { dependency: /^(drizzle-orm|kysely)$/ },
  },
  {
    id: 'node-orm',
    name: 'Knex, Sequelize, TypeORM, Prisma, slonik or pg-promise',
    asItComes: 'They connect again by themselves.',
    helps:
      'Nothing is needed. Knex keeps 2 connections (`pool.min`), which come back; `keep` in the policy spares them.',
    signs: {
      query: '^\\s*select "public"\\."\\w+"\\."\\w+"',
      dependency: /^(knex|sequelize|typeorm|@prisma\/client|slonik|pg-promise)$/,
    },
  },
  {
    id: 'node-postgres',
    name: 'node-postgres',
    asItComes:
      "The process dies with an unhandled 'error' event. With `pool.on('error')` alone it still dies if the ended session was checked out, for example in a transaction.",
    helps: 'Give the pool both listeners. Make a single Client anew in its error event.',
    snippet: BOTH_LISTENERS,
    signs: { dependency: /^pg$/ },
  },
  {
    id: 'postgres.js',
    name: 'postgres.js',
    asItComes: 'It connects again by itself. In a process that was frozen, a query fails once.',
    helps: 'On AWS Lambda, try once more on the code CONNECTION_CLOSED.',
    signs: { application: '^postgres\\.js$', dependency: /^postgres$/ },
  },
  {
    id: 'django',
    name: 'Django',
    asItComes:
      'With CONN_MAX_AGE, a request fails once for each connection. A command fails until it is started anew.',
    helps:
      'Check a persistent connection before its next request (Django 4.1 and later). In a command, call close_old_connections() before each piece of work.',
    snippet: {
      language: 'python',
      code: `DATABASES = {'default': {..., 'CONN_MAX_AGE': None, 'CONN_HEALTH_CHECKS': True}}`,
    },
    signs: {
      query: '"(django_session|django_content_type|auth_user|django_migrations)"',
      command: /(^|\s|\/)manage\.py\b/,
      dependency: /^django$/i,
    },
  },
  {
    id: 'sqlalchemy',
    name: 'SQLAlchemy',
    asItComes: 'A request fails once. The first error throws the whole pool away.',
    helps: 'Test a connection before it is lent.',
    snippet: { language: 'python', code: 'create_engine(url, pool_pre_ping=True)' },
    signs: {
      query: '^\\s*select \\w+\\.\\w+ as \\w+_\\w+',
      dependency: /^(sqlalchemy|flask-sqlalchemy)$/i,
    },
  },
  {
    id: 'asyncpg',
    name: 'asyncpg',
    asItComes: 'It connects again by itself. A listener stays deaf for good.',
    helps: 'Give a connection that listens an add_termination_listener.',
    signs: { dependency: /^asyncpg$/i },
  },
  {
    id: 'psycopg',
    name: 'psycopg',
    asItComes:
      'A single connection fails until it is made anew. A pool fails once for each connection.',
    helps:
      'Test a connection in `getconn`. The check= of psycopg_pool is no cure: it pauses longer and longer between dead connections.',
    snippet: {
      language: 'python',
      code: `class Pool(ConnectionPool):
    def getconn(self, timeout=None):
        while True:
            c = super().getconn(timeout)
            try: c.execute('SELECT 1'); c.autocommit or c.rollback(); return c
            except psycopg.OperationalError: self.putconn(c)`,
    },
    signs: { dependency: /^psycopg/i },
  },
  {
    id: 'tomcat',
    name: "Tomcat's JDBC pool",
    asItComes: 'Every request fails until the process is started anew.',
    helps: 'Test a connection before it is lent.',
    snippet: {
      language: 'java',
      code: `props.setTestOnBorrow(true); props.setValidationQuery("SELECT 1");`,
    },
    signs: { dependency: /^tomcat-jdbc$/ },
  },
  {
    id: 'jdbc',
    name: 'pgJDBC',
    asItComes:
      'HikariCP and DBCP2 test a connection before they lend it, and connect again. A bare connection fails until it is made anew.',
    helps:
      'Use a pool that tests before it lends. Without one, ask `isValid(1)` before each piece of work.',
    snippet: { language: 'java', code: 'if (!connection.isValid(1)) connection = connect();' },
    signs: { application: '^PostgreSQL JDBC Driver$', dependency: /^(HikariCP|commons-dbcp2)$/ },
  },
  {
    id: 'sequel',
    name: 'Sequel',
    asItComes: 'A request fails once for each connection.',
    helps: 'Test a connection that was idle.',
    snippet: {
      language: 'ruby',
      code: 'DB.extension(:connection_validator); DB.pool.connection_validation_timeout = 20',
    },
    signs: { dependency: /^sequel$/ },
  },
  {
    id: 'activerecord',
    name: 'ActiveRecord',
    asItComes:
      'A connection that was given back is tested, and made anew. A thread that keeps its connection fails until it is started anew (6.1), or once (7.2).',
    helps: 'In a thread that keeps its connection, verify it before each piece of work.',
    snippet: { language: 'ruby', code: 'ActiveRecord::Base.connection.verify!' },
    signs: {
      application: '^(puma|sidekiq|bin/rails|rails)\\M',
      query: '^\\s*(deallocate\\s+"?a\\d+"?\\s*;?\\s*$|select\\s+"\\w+"\\.\\* from "\\w+")',
      dependency: /^(rails|activerecord)$/,
    },
  },
  {
    id: 'pgx-v4',
    name: 'pgx v4',
    asItComes: 'A request fails once for each connection (57P01).',
    helps: 'Ping before a connection is acquired, or move to pgx v5, which does so by itself.',
    snippet: {
      language: 'go',
      code: 'config.BeforeAcquire = func(ctx context.Context, c *pgx.Conn) bool { return c.Ping(ctx) == nil }',
    },
    signs: { query: '^\\s*deallocate\\s+"?lrupsc_', dependency: /^github\.com\/jackc\/pgx\/v4$/ },
  },
  {
    id: 'go-sql',
    name: 'pgx v5 or lib/pq',
    asItComes: 'They connect again by themselves.',
    helps: 'Nothing is needed.',
    signs: {
      query: '^\\s*(-- ping\\M|deallocate\\s+"?stmtcache_)',
      dependency: /^github\.com\/(jackc\/pgx\/v5|lib\/pq)$/,
    },
  },
]
