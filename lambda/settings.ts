import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Overrides } from './core/credentials.ts'
import { isLoopback } from './core/endpoint.ts'
import { METRIC_SETS, type MetricSet } from './core/measurements.ts'
import { hint } from './core/nearest.ts'
import { INCIDENT, POLICY_MISSING, type Policy, parsePolicyText } from './core/policy.ts'
import type { Mode } from './core/report.ts'
import { printable } from './core/text.ts'
import { messageOf, SlotkeeperError } from './errors.ts'

/** The certificate authorities of RDS, shipped beside the bundle. */
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
] as const

type Variable = (typeof VARIABLES)[number]

export type Settings = {
  target: string
  mode: Mode
  policy: Policy
  /** False in mode `observe` alone: then `policy` is the incident's. */
  policyGiven: boolean
  auth: { via: 'secret'; secretArn: string } | { via: 'iam'; host: string; user: string }
  overrides: Overrides
  /** The file with the certificate authorities, or false for a plain connection. */
  caFile: string | false
  metrics: { via: 'cloudwatch' | 'emf'; set: MetricSet; namespace: string }
}

/**
 * Reads the function's configuration from its environment.
 * @param folder where `file:NAME` policies and the certificate authorities lie
 * @throws SlotkeeperError of kind `settings` with every problem at once
 */
export function readSettings(env: Record<string, string | undefined>, folder: string): Settings {
  const reader = createReader(env)
  const { get, required, choice, problems } = reader
  const mode = choice('SLOTKEEPER_MODE', ['reap', 'observe'])
  // Set and empty is a mistake of the one that wrote it, and no policy that is missing.
  const policyGiven = env.SLOTKEEPER_POLICY !== undefined
  if (!policyGiven && env.SLOTKEEPER_MODE === 'reap') {
    problems.push(`SLOTKEEPER_POLICY: ${POLICY_MISSING}`)
  }
  const policy = readPolicy(env.SLOTKEEPER_POLICY ?? INCIDENT, folder, problems)
  const via = choice('SLOTKEEPER_AUTH', ['secret', 'iam'], 'secret')
  const tls = choice('SLOTKEEPER_TLS', ['verify-full', 'off'], 'verify-full')
  const overrides = readOverrides(reader)
  if (tls === 'off' && !isLoopback(overrides.host)) {
    problems.push(
      'SLOTKEEPER_TLS: "off" is for a SLOTKEEPER_HOST on the loopback only; expected "verify-full"',
    )
  }
  const settings: Settings = {
    target: required('SLOTKEEPER_TARGET', 'a name for the target, the dimension of its metrics'),
    mode,
    policy,
    policyGiven,
    auth:
      via === 'secret'
        ? { via, secretArn: required('SLOTKEEPER_SECRET_ARN', "the secret's ARN") }
        : {
            via,
            host: required('SLOTKEEPER_HOST', 'the host to sign the IAM token for'),
            user: required('SLOTKEEPER_USER', 'the role to sign the IAM token for'),
          },
    overrides,
    caFile: tls === 'verify-full' && (get('SLOTKEEPER_CA_FILE') ?? join(folder, RDS_CA_FILE)),
    metrics: {
      via: choice('SLOTKEEPER_METRICS', ['cloudwatch', 'emf'], 'cloudwatch'),
      set: choice('SLOTKEEPER_METRIC_SET', METRIC_SETS, 'full'),
      namespace: get('SLOTKEEPER_NAMESPACE') ?? 'Slotkeeper',
    },
  }
  if (problems.length > 0) {
    throw new SlotkeeperError(
      'settings',
      `the configuration is not valid:\n  ${problems.map(printable).join('\n  ')}`,
    )
  }
  return settings
}

/** Reads single variables and gathers what is wrong with them, so that all of it is told at once. */
function createReader(env: Record<string, string | undefined>) {
  const problems = Object.keys(env)
    .filter((name) => name.startsWith('SLOTKEEPER_') && !VARIABLES.includes(name as Variable))
    .map((name) => `${name}: unknown variable${hint(name, VARIABLES)}`)
  const get = (name: Variable) => env[name] || undefined
  return {
    problems,
    get,
    required(name: Variable, form: string): string {
      const value = get(name)
      if (value === undefined) problems.push(`${name}: missing; expected ${form}`)
      return value ?? ''
    },
    choice<const T extends string>(name: Variable, words: readonly T[], fallback?: T): T {
      const value = get(name) ?? fallback
      const found = words.find((word) => word === value)
      if (found !== undefined) return found
      const form = words.map((word) => `"${word}"`).join(' or ')
      const was = value === undefined ? 'missing' : `found "${value}"${hint(value, words)}`
      problems.push(`${name}: ${was}; expected ${form}`)
      return words[0] as T
    },
  }
}

function readOverrides({ get, problems }: ReturnType<typeof createReader>): Overrides {
  const overrides: Overrides = {}
  const host = get('SLOTKEEPER_HOST')
  const user = get('SLOTKEEPER_USER')
  const database = get('SLOTKEEPER_DATABASE')
  const port = readPort(get('SLOTKEEPER_PORT'), problems)
  if (host !== undefined) overrides.host = host
  if (host !== undefined && !isHost(host)) {
    // A URL may hold a password.
    const found = host.includes('@') ? 'a URL' : `"${host}"`
    problems.push(
      `SLOTKEEPER_HOST: found ${found}; expected a host name alone, and the port in SLOTKEEPER_PORT`,
    )
  }
  if (user !== undefined) overrides.user = user
  if (database !== undefined) overrides.database = database
  if (port !== undefined) overrides.port = port
  return overrides
}

/** Whether it is a name, an address, or the folder of a Unix socket; neither a URL nor a host with its port. */
function isHost(host: string): boolean {
  return host.startsWith('/') || isIP(host) !== 0 || /^[^\s:/@?#]+$/.test(host)
}

function readPort(text: string | undefined, problems: string[]): number | undefined {
  if (text === undefined) return undefined
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65535) return port
  problems.push(`SLOTKEEPER_PORT: found "${text}"; expected a number from 1 to 65535`)
  return undefined
}

function readPolicy(value: string, folder: string, problems: string[]): Policy {
  const parsed = parsePolicyText(policyText(value, folder, problems))
  if (parsed.ok) return parsed.value
  problems.push(...parsed.problems.map((problem) => `SLOTKEEPER_POLICY: ${problem}`))
  return {} as Policy
}

/** The policy itself or its name, or what the file beside the bundle holds. */
function policyText(value: string, folder: string, problems: string[]): string {
  const name = /^file:([\w.-]+)$/.exec(value)?.[1]
  if (name === undefined) return value
  try {
    return readFileSync(join(folder, name), 'utf8')
  } catch (error) {
    problems.push(`SLOTKEEPER_POLICY: ${messageOf(error)}`)
    // Told once is enough: any policy that is valid.
    return INCIDENT
  }
}
