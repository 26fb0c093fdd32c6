import { hint } from '../../lambda/core/nearest.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'

/** The parameters of a connection, by libpq's names. */
export type Parameters = Partial<Record<string, string>>

/**
 * `values`: the values that Slotkeeper supports or may ignore; without it, every value. `form`: those
 * values in words. `instead`: what to do if the value is another one.
 */
type Parameter = { variable?: string; values?: RegExp; form?: string; instead?: string }

const INTEGER = { values: /^\s*[+-]?\d+\s*$/, form: 'a whole number' }
const NOTHING = /^$/
const NO_OAUTH = { values: NOTHING, instead: 'OAuth is not supported; log in with a password' }
const NO_KEYS = { values: NOTHING, instead: 'log in with the password' }

/**
 * libpq's parameters (PostgreSQL 18, "Parameter Key Words") with their environment variables. A
 * parameter that affects which server is reached, or how securely, is used or refused. Any other is
 * accepted and ignored, because a sweep sets its own name, time limits and settings.
 */
const PARAMETERS: Record<string, Parameter> = {
  host: { variable: 'PGHOST' },
  hostaddr: { variable: 'PGHOSTADDR' },
  port: { variable: 'PGPORT' },
  dbname: { variable: 'PGDATABASE' },
  user: { variable: 'PGUSER' },
  password: { variable: 'PGPASSWORD' },
  passfile: { variable: 'PGPASSFILE' },
  service: { variable: 'PGSERVICE' },
  servicefile: { variable: 'PGSERVICEFILE' },
  require_auth: { variable: 'PGREQUIREAUTH' },
  channel_binding: {
    variable: 'PGCHANNELBINDING',
    values: /^(disable|prefer|require)$/,
    form: 'disable, prefer or require',
  },
  sslmode: { variable: 'PGSSLMODE' },
  sslrootcert: { variable: 'PGSSLROOTCERT' },
  sslcrl: { variable: 'PGSSLCRL' },
  sslcert: { variable: 'PGSSLCERT' },
  sslkey: { variable: 'PGSSLKEY' },
  sslpassword: {},
  ssl_min_protocol_version: {
    variable: 'PGSSLMINPROTOCOLVERSION',
    values: /^(|TLSv1|TLSv1\.[123])$/i,
    form: 'TLSv1.2 or TLSv1.3',
  },
  ssl_max_protocol_version: {
    variable: 'PGSSLMAXPROTOCOLVERSION',
    values: /^(|TLSv1\.[23])$/i,
    form: 'TLSv1.2 or TLSv1.3, because older versions are not supported',
  },
  sslcrldir: {
    variable: 'PGSSLCRLDIR',
    values: NOTHING,
    instead: 'name one file of revoked certificates in sslcrl',
  },
  sslcertmode: {
    variable: 'PGSSLCERTMODE',
    values: /^(|allow|disable)$/,
    form: 'allow or disable',
    instead: 'require is not supported',
  },
  sslnegotiation: {
    variable: 'PGSSLNEGOTIATION',
    values: /^(|postgres)$/,
    form: 'postgres',
    instead: 'direct TLS is not supported; every server supports the ordinary negotiation',
  },
  sslsni: { variable: 'PGSSLSNI', values: /^1?$/, form: '1' },
  sslcompression: { variable: 'PGSSLCOMPRESSION', values: /^[01]?$/, form: '0 or 1' },
  sslkeylogfile: { values: NOTHING, instead: 'TLS keys are never written to a file' },
  requirepeer: {
    variable: 'PGREQUIREPEER',
    values: NOTHING,
    instead: 'checking the owner of the server process is not supported',
  },
  gssencmode: {
    variable: 'PGGSSENCMODE',
    values: /^(disable|prefer)$/,
    form: 'disable or prefer',
    instead: 'GSSAPI is not supported; use TLS',
  },
  krbsrvname: { variable: 'PGKRBSRVNAME' },
  gsslib: { variable: 'PGGSSLIB' },
  gssdelegation: { variable: 'PGGSSDELEGATION' },
  scram_client_key: NO_KEYS,
  scram_server_key: NO_KEYS,
  oauth_issuer: NO_OAUTH,
  oauth_client_id: NO_OAUTH,
  oauth_client_secret: NO_OAUTH,
  oauth_scope: NO_OAUTH,
  target_session_attrs: {
    variable: 'PGTARGETSESSIONATTRS',
    values: /^any$/,
    form: 'any',
    instead: 'a sweep always connects to the named server, whether primary or standby',
  },
  load_balance_hosts: {
    variable: 'PGLOADBALANCEHOSTS',
    values: /^(disable|random)$/,
    form: 'disable or random',
  },
  replication: {
    values: /^(|false|no|off|0)$/,
    form: 'false',
    instead: "a sweep uses a walsender's slot by itself if the server is full",
  },
  min_protocol_version: {
    variable: 'PGMINPROTOCOLVERSION',
    values: /^(|3\.0)$/,
    form: '3.0, the version that is supported',
  },
  max_protocol_version: {
    variable: 'PGMAXPROTOCOLVERSION',
    values: /^(|3\.[02]|latest)$/,
    form: '3.0, 3.2 or latest',
  },
  connect_timeout: { variable: 'PGCONNECT_TIMEOUT', ...INTEGER },
  keepalives: INTEGER,
  keepalives_idle: INTEGER,
  keepalives_interval: INTEGER,
  keepalives_count: INTEGER,
  tcp_user_timeout: INTEGER,
  application_name: { variable: 'PGAPPNAME' },
  fallback_application_name: {},
  client_encoding: { variable: 'PGCLIENTENCODING' },
  options: { variable: 'PGOPTIONS' },
  authtype: {},
  tty: {},
}

/** Undefined if a parameter of this name exists. Otherwise a hint at the nearest name, or an empty text. */
export function hintAt(name: string): string | undefined {
  return Object.hasOwn(PARAMETERS, name) ? undefined : hint(name, Object.keys(PARAMETERS))
}

/** Reads the environment. As in libpq, a variable that is set but empty counts as set. */
export function fromEnvironment(env: Parameters): Parameters {
  const found: Parameters = {}
  // An old variable, from before `sslmode`, which libpq still reads.
  if (env.PGREQUIRESSL?.startsWith('1')) found.sslmode = 'require'
  for (const [name, { variable }] of Object.entries(PARAMETERS)) {
    const value = variable === undefined ? undefined : env[variable]
    if (value !== undefined) found[name] = value
  }
  return found
}

/** @throws SlotkeeperError of kind `settings` for the first value that is invalid or not supported */
export function refuseUnmet(parameters: Parameters): void {
  for (const [name, { values, form, instead }] of Object.entries(PARAMETERS)) {
    const value = parameters[name]
    if (value === undefined || value.trim() === '' || !values || values.test(value)) continue
    const expected = form === undefined ? 'no value' : form
    throw new SlotkeeperError(
      'settings',
      `${name}: found ${shown(name, value)}; expected ${expected}${instead === undefined ? '' : `: ${instead}`}`,
    )
  }
}

function shown(name: string, value: string): string {
  return /secret|_key$/.test(name) ? 'a value' : JSON.stringify(value)
}
