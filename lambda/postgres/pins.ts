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
  // A library that is not there refuses the login. `session_preload_libraries` can't be pinned.
  local_preload_libraries: '',
  // Without it a backslash in a statement means something else.
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  quote_all_identifiers: 'off',
  // A read replica refuses every statement of a serializable transaction (0A000), and a deferrable one waits for
  // the application's.
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  // One session that may not be signalled must not end the sweep's own.
  exit_on_error: 'off',
  // The connection is kept between sweeps, and the function is frozen meanwhile.
  idle_session_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  client_connection_check_interval: '0',
  tcp_user_timeout: '0',
  // `statement_timeout`, which the driver sets, bounds a statement; a shorter wait for a lock fails it.
  lock_timeout: '0',
  // Each notice costs the function a message, and it reads none.
  client_min_messages: 'error',
  // Numbers and instants are written as text.
  extra_float_digits: '1',
  IntervalStyle: 'postgres',
  // Thousands of sessions with long query texts fit, so that a `temp_file_limit` of 0 fails nothing. With 64MB each
  // look takes several times as long (measured at 1,000 sessions).
  work_mem: '16MB',
  // How a statement is run: compiling one costs a hundred times what it saves here, a parallel worker can't end a
  // session, and without hash joins the time grows with the square of the sessions.
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  plan_cache_mode: 'auto',
  enable_hashagg: 'on',
  enable_hashjoin: 'on',
  enable_mergejoin: 'on',
  enable_nestloop: 'on',
  enable_seqscan: 'on',
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
