/**
 * Settings that a role, a database or the whole server may have set, and that change what a statement of the
 * sweep means, how long it takes or what it answers. Each has one value here, for every release. A value given
 * at start-up comes before those of `ALTER ROLE … SET` and `ALTER DATABASE … SET` (guc.c, GucSource).
 */
const PINS: Record<string, string> = {
  // A stranger's function must not come before PostgreSQL's.
  search_path: 'pg_catalog,pg_temp',
  // The rights that count are those of the role that logs in.
  role: 'none',
  // Without it a backslash in a statement means something else.
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  quote_all_identifiers: 'off',
  // A read replica refuses every statement of a serializable transaction (0A000).
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  row_security: 'on',
  // One session that may not be signalled must not end the sweep's own.
  exit_on_error: 'off',
  // The connection is kept between sweeps.
  idle_session_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  // `statement_timeout`, which the driver sets, bounds a statement; a shorter wait for a lock fails it.
  lock_timeout: '0',
  client_connection_check_interval: '0',
  // Each notice costs the function a message, and it reads none.
  client_min_messages: 'error',
  // Numbers and instants are written as text.
  extra_float_digits: '1',
  IntervalStyle: 'postgres',
  DateStyle: 'ISO, MDY',
  TimeZone: 'UTC',
  bytea_output: 'hex',
  xmlbinary: 'base64',
  array_nulls: 'on',
  // How a statement is run: compiling one costs a hundred times what it saves here, and a parallel
  // worker can't end a session.
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  plan_cache_mode: 'auto',
  work_mem: '16MB',
  enable_hashagg: 'on',
  enable_hashjoin: 'on',
  enable_indexscan: 'on',
  enable_material: 'on',
  enable_mergejoin: 'on',
  enable_nestloop: 'on',
  enable_seqscan: 'on',
  enable_sort: 'on',
}

/** The start-up parameter `options`, in which a blank within a value is escaped (pg_split_opts). */
export const START_UP_OPTIONS = Object.entries(PINS)
  .map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
  .join(' ')

/**
 * What can't be set at start-up. The driver asks for `client_encoding` UTF8 there: the server would then
 * convert every name from the encoding of the database that the sweep is connected to, which is not the one
 * that the name was written in. As SQL_ASCII it sends the bytes as they are. A setting that a release does not
 * know refuses the login.
 * @param major of the server, for example 17
 */
export function settingsAfterLogin(major: number): string {
  const settings = ["set client_encoding to 'SQL_ASCII'"]
  if (major >= 17) settings.push('set transaction_timeout to 0')
  return settings.join('; ')
}
