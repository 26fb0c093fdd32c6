import { isIP } from 'node:net'
import { join } from 'node:path'
import { clusterHostProblem, readClusterHost } from './core/cluster-host.ts'
import type { Overrides } from './core/credentials.ts'
import { isLoopback } from './core/endpoint.ts'
import { METRIC_SETS, type MetricSet } from './core/measurements.ts'
import { hint } from './core/nearest.ts'
import { combine, type Parsed, parsed, refused } from './core/parsed.ts'
import { INCIDENT, POLICY_MISSING, type Policy, parsePolicyText } from './core/policy.ts'
import type { Mode } from './core/report.ts'
import { printable } from './core/text.ts'
import { SlotkeeperError } from './errors.ts'
import { readPolicyFile } from './policy-file.ts'

/** The certificate authorities of RDS. The file is shipped next to the bundle. */
const RDS_CA_FILE = 'rds-ca.pem'

const VARIABLES = [
  'SLOTKEEPER_TARGET',
  'SLOTKEEPER_MODE',
  'SLOTKEEPER_POLICY',
  'SLOTKEEPER_SECRET_ARN',
  'SLOTKEEPER_AUTH',
  'SLOTKEEPER_HOST',
  'SLOTKEEPER_PORT',
  'SLOTKEEPER_DATABASE',
  'SLOTKEEPER_USER',
  'SLOTKEEPER_TLS',
  'SLOTKEEPER_CA_FILE',
  'SLOTKEEPER_METRICS',
  'SLOTKEEPER_METRIC_SET',
  'SLOTKEEPER_NAMESPACE',
  'SLOTKEEPER_RECORD',
  'SLOTKEEPER_CLUSTER',
  'SLOTKEEPER_AUTO_PAUSE',
] as const

type Variable = (typeof VARIABLES)[number]

/** The function's configuration. */
export type Settings = {
  target: string
  mode: Mode
  policy: Policy
  /** False if SLOTKEEPER_POLICY is not set. Only mode `observe` allows that; `policy` is then `incident`. */
  policyGiven: boolean
  auth: { via: 'secret'; secretArn: string } | { via: 'iam'; host: string; user: string }
  overrides: Overrides
  /** The file with the certificate authorities, or false for a connection without TLS. */
  caFile: string | false
  metrics: { via: 'cloudwatch' | 'emf'; set: MetricSet; namespace: string }
  /** Whether each sweep writes its snapshot to the log. */
  record: boolean
  /** Whether the target is a whole Aurora cluster. */
  cluster: boolean
  /** Whether to stay away from a cluster that is paused, or that may pause. */
  autoPause: boolean
}

/**
 * Reads the function's configuration from its environment.
 * @param folder the folder with the `file:NAME` policies and the certificate authorities
 * @throws SlotkeeperError of kind `settings` that lists every problem
 */
export function readSettings(env: Environment, folder: string): Settings {
  const settings = parseSettings(env, folder)
  if (settings.ok) return settings.value
  throw new SlotkeeperError(
    'settings',
    `the configuration is not valid:\n  ${settings.problems.map(printable).join('\n  ')}`,
  )
}

type Environment = Record<string, string | undefined>

function parseSettings(env: Environment, folder: string): Parsed<Settings> {
  const unknown = Object.keys(env)
    .filter((name) => name.startsWith('SLOTKEEPER_') && !VARIABLES.includes(name as Variable))
    .map((name) => `${name}: unknown variable${hint(name, VARIABLES)}`)
  const parts = {
    target: required(
      env,
      'SLOTKEEPER_TARGET',
      'a name for the target, the dimension of its metrics',
    ),
    mode: choice(env, 'SLOTKEEPER_MODE', ['reap', 'observe']),
    policy: parsePolicyVariable(env, folder),
    policyGiven: parsed(env.SLOTKEEPER_POLICY !== undefined),
    auth: parseAuth(env),
    overrides: parseOverrides(env),
    caFile: parseCaFile(env, folder),
    metrics: combine({
      via: choice(env, 'SLOTKEEPER_METRICS', ['cloudwatch', 'emf'], 'cloudwatch'),
      set: choice(env, 'SLOTKEEPER_METRIC_SET', METRIC_SETS, 'full'),
      namespace: parsed(env.SLOTKEEPER_NAMESPACE || 'Slotkeeper'),
    }),
    record: parseRecord(env),
    cluster: parseCluster(env),
    autoPause: parseAutoPause(env),
  }
  return combine(parts, ...unknown)
}

function parseAuth(env: Environment): Parsed<Settings['auth']> {
  const via = choice(env, 'SLOTKEEPER_AUTH', ['secret', 'iam'], 'secret')
  if (!via.ok) return via
  return via.value === 'secret'
    ? combine({
        via: parsed('secret' as const),
        secretArn: required(env, 'SLOTKEEPER_SECRET_ARN', "the secret's ARN"),
      })
    : combine({
        via: parsed('iam' as const),
        host: required(env, 'SLOTKEEPER_HOST', 'the host to sign the IAM token for'),
        user: required(env, 'SLOTKEEPER_USER', 'the role to sign the IAM token for'),
      })
}

function parseCaFile(env: Environment, folder: string): Parsed<string | false> {
  const tls = choice(env, 'SLOTKEEPER_TLS', ['verify-full', 'off'], 'verify-full')
  if (!tls.ok) return tls
  if (tls.value === 'verify-full') {
    return parsed(env.SLOTKEEPER_CA_FILE || join(folder, RDS_CA_FILE))
  }
  return isLoopback(env.SLOTKEEPER_HOST || undefined)
    ? parsed(false)
    : refused(
        'SLOTKEEPER_TLS: "off" is for a SLOTKEEPER_HOST on the loopback only; expected "verify-full"',
      )
}

function parseOverrides(env: Environment): Parsed<Overrides> {
  const host = parseHost(env.SLOTKEEPER_HOST)
  const port = parsePort(env.SLOTKEEPER_PORT)
  const given = combine({ host, port })
  if (!given.ok) return given
  const all = {
    ...given.value,
    user: env.SLOTKEEPER_USER || undefined,
    database: env.SLOTKEEPER_DATABASE || undefined,
  }
  const set = Object.entries(all).filter(([, value]) => value !== undefined)
  return parsed(Object.fromEntries(set))
}

function parseHost(host: string | undefined): Parsed<string | undefined> {
  if (!host || isHost(host)) return parsed(host || undefined)
  // The error does not quote a URL, because it may contain a password.
  const found = host.includes('@') ? 'a URL' : `"${host}"`
  return refused(
    `SLOTKEEPER_HOST: found ${found}; expected a host name alone, and the port in SLOTKEEPER_PORT`,
  )
}

/**
 * True for a host name, an address, or the folder of a Unix socket; false for a URL, and for a host with a
 * port.
 */
function isHost(host: string): boolean {
  return host.startsWith('/') || /^[^\s:/@?#]+$/.test(host) || isIP(host) !== 0
}

function parsePort(text: string | undefined): Parsed<number | undefined> {
  if (!text) return parsed(undefined)
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65535
    ? parsed(port)
    : refused(`SLOTKEEPER_PORT: found "${text}"; expected a number from 1 to 65535`)
}

/**
 * Reads a policy, the name of a policy, or `file:NAME` for a file next to the bundle. An empty variable is an
 * error: it does not count as a missing policy.
 */
function parsePolicyVariable(env: Environment, folder: string): Parsed<Policy> {
  const value = env.SLOTKEEPER_POLICY
  if (value === undefined && env.SLOTKEEPER_MODE === 'reap') {
    return refused(`SLOTKEEPER_POLICY: ${POLICY_MISSING}`)
  }
  const name = /^file:([\w.-]+)$/.exec(value ?? '')?.[1]
  const policy =
    name === undefined ? parsePolicyText(value ?? INCIDENT) : readPolicyFile(join(folder, name))
  if (policy.ok) return policy
  return refused(...policy.problems.map((problem) => `SLOTKEEPER_POLICY: ${problem}`))
}

function parseRecord(env: Environment): Parsed<boolean> {
  const record = choice(env, 'SLOTKEEPER_RECORD', ['on', 'off'], 'off')
  return record.ok ? parsed(record.value === 'on') : record
}

/** If the host is in the secret only, it is checked when the secret is read. */
function parseCluster(env: Environment): Parsed<boolean> {
  const { SLOTKEEPER_CLUSTER: value, SLOTKEEPER_HOST: host } = env
  if (!value) return parsed(false)
  const kind = choice(env, 'SLOTKEEPER_CLUSTER', ['aurora'])
  if (!kind.ok) return kind
  const problem = host && isHost(host) && clusterHostProblem(host)
  return problem ? refused(`SLOTKEEPER_HOST: found "${host}": ${problem}`) : parsed(true)
}

function parseAutoPause(env: Environment): Parsed<boolean> {
  const wish = choice(env, 'SLOTKEEPER_AUTO_PAUSE', ['on', 'off'], 'off')
  if (!wish.ok || wish.value === 'off') return wish.ok ? parsed(false) : wish
  if (!env.SLOTKEEPER_CLUSTER) {
    return refused('SLOTKEEPER_AUTO_PAUSE: "on" needs SLOTKEEPER_CLUSTER=aurora beside it')
  }
  const host = readClusterHost(env.SLOTKEEPER_HOST ?? '')
  return host.ok && host.value.leadsTo === 'custom'
    ? refused(
        `SLOTKEEPER_AUTO_PAUSE: the host "${env.SLOTKEEPER_HOST}" is a custom endpoint, which does not tell the identifier of its cluster; expected the cluster's own endpoint in SLOTKEEPER_HOST`,
      )
    : parsed(true)
}

function required(env: Environment, name: Variable, form: string): Parsed<string> {
  const value = env[name]
  return value ? parsed(value) : refused(`${name}: missing; expected ${form}`)
}

function choice<const T extends string>(
  env: Environment,
  name: Variable,
  words: readonly T[],
  fallback?: T,
): Parsed<T> {
  const value = env[name] || fallback
  const found = words.find((word) => word === value)
  if (found !== undefined) return parsed(found)
  const form = words.map((word) => `"${word}"`).join(' or ')
  const was = value === undefined ? 'missing' : `found "${value}"${hint(value, words)}`
  return refused(`${name}: ${was}; expected ${form}`)
}
