import type { Form } from './last-query.ts'

const POOLERS = [
  'pgbouncer',
  'pgpool',
  'odyssey',
  'pgcat',
  'supavisor',
  'rds-proxy',
  'pooler',
] as const

const FRAMEWORKS = [
  ...POOLERS,
  'laravel-queue',
  'octane',
  'php',
  'node-postgres',
  'postgres-js',
  'prisma',
  'hikari',
  'sqlalchemy',
  'django',
  'rails',
  'pgx',
] as const
export type Framework = (typeof FRAMEWORKS)[number]

/** What probably opened the sessions, and what shows it. */
export type Recognised = { framework: Framework | undefined; by: string }

const poolers: ReadonlySet<Framework> = new Set(POOLERS)

export function isPooler({ framework }: Recognised): boolean {
  return framework !== undefined && poolers.has(framework)
}

/** Programs whose processes each hold a session of their own, so that no pool can be made smaller. */
const PER_PROCESS: ReadonlySet<Framework> = new Set(['laravel-queue', 'octane', 'php', 'django'])

export function isPerProcess({ framework }: Recognised): boolean {
  return framework !== undefined && PER_PROCESS.has(framework)
}

/** How people write their names. */
export const FRAMEWORK_NAMES: Record<Framework, string> = {
  pgbouncer: 'PgBouncer',
  pgpool: 'pgpool',
  odyssey: 'Odyssey',
  pgcat: 'PgCat',
  supavisor: 'Supavisor',
  'rds-proxy': 'RDS Proxy',
  pooler: 'a pooler in session mode, such as PgBouncer',
  'laravel-queue': "Laravel's queue workers",
  octane: 'Laravel Octane',
  php: 'PHP',
  'node-postgres': 'node-postgres',
  'postgres-js': 'postgres.js',
  prisma: 'Prisma',
  hikari: 'HikariCP',
  sqlalchemy: 'SQLAlchemy',
  django: 'Django',
  rails: 'Rails',
  pgx: 'pgx',
}

/** Application names, the most specific first. People choose these names, so they are hints. */
const BY_NAME: [RegExp, Framework][] = [
  [/^pgbouncer\b/i, 'pgbouncer'],
  [/^pgpool/i, 'pgpool'],
  [/^odyssey\b/i, 'odyssey'],
  [/^pgcat\b/i, 'pgcat'],
  [/^supavisor\b/i, 'supavisor'],
  [/^rds[ _-]?proxy\b/i, 'rds-proxy'],
  [/octane|swoole|roadrunner|frankenphp/i, 'octane'],
  [/horizon|queue:work|artisan|laravel.*(queue|worker)/i, 'laravel-queue'],
  [/prisma/i, 'prisma'],
  [/postgres\.js/i, 'postgres-js'],
  [/JDBC|hikari|spring|tomcat/i, 'hikari'],
  [/django/i, 'django'],
  [/sqlalchemy|asyncpg|psycopg|celery|fastapi|uvicorn/i, 'sqlalchemy'],
  [/rails|puma|sidekiq|unicorn|resque|good_job/i, 'rails'],
  [/pgx|golang/i, 'pgx'],
  [/node|knex|sequelize|typeorm|drizzle|pg-?boss|nest/i, 'node-postgres'],
  [/php|laravel|symfony|fpm/i, 'php'],
]

const BY_FORM: [Form, Framework][] = [
  ['laravel queue', 'laravel-queue'],
  ['pdo', 'php'],
  ['rails', 'rails'],
  ['prisma', 'prisma'],
  ['django', 'django'],
  ['sqlalchemy', 'sqlalchemy'],
  ['jdbc', 'hikari'],
  ['pgx', 'pgx'],
]

/** Of this share of its sessions the last query must have the form. */
const SHARE = 0.2

/**
 * Guesses what opened a fleet's sessions: from the names it gives itself, then from the last queries.
 * @param forms how many sessions have which form of last query
 */
export function recognise(
  user: string | null,
  applications: string[],
  forms: ReadonlyMap<Form, number>,
): Recognised {
  if (user === 'rdsproxyadmin') return { framework: 'rds-proxy', by: 'the role rdsproxyadmin' }
  if (user === 'pgbouncer') return { framework: 'pgbouncer', by: 'the role pgbouncer' }
  const total = [...forms.values()].reduce((sum, count) => sum + count, 0)
  const hasForm = (form: Form) => (forms.get(form) ?? 0) > total * SHARE
  const named = BY_NAME.find(([pattern]) => applications.some((name) => pattern.test(name)))
  if (named) {
    const [pattern, framework] = named
    const name = applications.find((application) => pattern.test(application)) ?? ''
    const isQueue = framework === 'php' && hasForm('laravel queue')
    return {
      framework: isQueue ? 'laravel-queue' : framework,
      by: `the application name "${name}"`,
    }
  }
  const isNameless = applications.every((name) => name === '')
  if (isNameless && hasForm('discard all')) {
    return { framework: 'pooler', by: 'the last query DISCARD ALL and no application name' }
  }
  const formed = BY_FORM.find(([form]) => hasForm(form))
  return formed
    ? { framework: formed[1], by: `the form of the last queries (${formed[0]})` }
    : { framework: undefined, by: '' }
}
