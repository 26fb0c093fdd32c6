/**
 * Settings that a role, a database or the whole server may set, and that change what a statement of the sweep
 * means, how long it takes or what it answers. Each has one value here, for every release. A value given at
 * start-up overrides `ALTER ROLE … SET` and `ALTER DATABASE … SET` (GucSource in guc.c).
 */
const PINS: Record<string, string> = {
  // A stranger's function must not come before PostgreSQL's.
  search_path: 'pg_catalog,pg_temp',
  // The rights that count are those of the role that logs in.
  role: 'none',
  // A missing library makes the login fail. `session_preload_libraries` can't be pinned.
  local_preload_libraries: '',
  // With `off`, a backslash in a string constant is an escape.
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  quote_all_identifiers: 'off',
  // A read replica refuses every statement of a serializable transaction (0A000). A deferrable transaction
  // waits for the application's transactions.
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  // With `on`, the error for one session that may not be signalled would end the sweep's own session.
  exit_on_error: 'off',
  // The connection is kept between sweeps, and the function is frozen meanwhile.
  idle_session_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  client_connection_check_interval: '0',
  tcp_user_timeout: '0',
  // `statement_timeout`, which the driver sets, already limits a statement. A lock timeout would make it fail
  // earlier.
  lock_timeout: '0',
  // Each notice costs a message, and the function reads no notices.
  client_min_messages: 'error',
  // Numbers and times travel as text, whose form these settings decide.
  extra_float_digits: '1',
  IntervalStyle: 'postgres',
  // Limits what one look at the sessions keeps in memory, before a `temp_file_limit` of 0 fails it: about 16,000
  // sessions with query texts of 1 kB, or 1,000 with 16 kB. With 64MB the reap of 1,000 sessions took four times as
  // long (measured).
  work_mem: '16MB',
  // How a statement runs. Compiling it (JIT) costs a hundred times what it saves here. A parallel worker
  // can't end a session. Without hash joins the time grows with the square of the number of sessions.
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  plan_cache_mode: 'auto',
  enable_hashagg: 'on',
  enable_hashjoin: 'on',
  enable_mergejoin: 'on',
  enable_nestloop: 'on',
  enable_seqscan: 'on',
}

/**
 * The start-up parameter `options`. A backslash escapes a blank inside a value (pg_split_opts in postinit.c).
 * @param except settings that keep the value they have for the role, so that `pg_settings` shows it
 */
export function startUpOptions(except: string[] = []): string {
  return Object.entries(PINS)
    .filter(([name]) => !except.includes(name))
    .map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
    .join(' ')
}

/**
 * The statements for settings that can't be set at start-up. The driver asks for `client_encoding` UTF8 at
 * start-up. With that, the server converts every name from the encoding of the connected database, but the
 * name may have been written in another encoding. With SQL_ASCII the server sends the bytes as they are.
 * `transaction_timeout` exists from 17 on; an earlier release would refuse the login if it were set at
 * start-up.
 * @param major of the server, for example 17
 */
export function settingsAfterLogin(major: number): string {
  const settings = ["set client_encoding to 'SQL_ASCII'"]
  if (major >= 17) settings.push('set transaction_timeout to 0')
  return settings.join('; ')
}
