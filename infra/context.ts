import * as v from 'valibot'
import { type BoundsInput, parseBounds } from '../lambda/core/bounds.ts'
import { METRIC_SETS } from '../lambda/core/measurements.ts'
import { POLICY_MISSING, parsePolicy } from '../lambda/core/policy.ts'
import { brief, list, oneOf, record, text } from '../lambda/core/schema.ts'
import { alarmsSchema } from './alarm-settings.ts'
import {
  keyArnProblem,
  type Place,
  partitionOf,
  placeOf,
  placeProblem,
  secretArnProblem,
} from './arns.ts'
import { builtFolder } from './assets.ts'
import { authoritiesProblem } from './authorities.ts'
import { checked, flag, problemOf, refusal, shown, wholeBetween } from './checked.ts'
import { clusterProblems } from './database-problems.ts'
import { hostProblem, targetHostProblem } from './hosts.ts'
import { databaseProblem, iamUserProblem, idProblem, resourceIdProblem } from './names.ts'
import { isPlaceholder } from './placeholders.ts'
import type { PolicyInput } from './policy.ts'
import { PERIODS_S } from './schedule.ts'
import { readTargetsFile } from './targets-file.ts'

const id = (prefix: string) => checked(`"${prefix}-…"`, idProblem(prefix))
const secretArn = v.optional(checked("a secret's ARN", secretArnProblem))
const keyArn = v.optional(checked("a key's ARN", keyArnProblem))

const networkSchema = record({
  vpcId: id('vpc'),
  subnets: list(record({ id: id('subnet'), availabilityZone: text('a zone') }), 'subnets'),
  securityGroupId: id('sg'),
})

const NAME_FORM = 'expected letters, digits and -, at most 63, a letter first'

const targetSchema = record({
  // Part of a stack's name.
  name: v.pipe(v.string(NAME_FORM), v.regex(/^[A-Za-z][A-Za-z0-9-]{0,62}$/, NAME_FORM)),
  host: checked("the server's endpoint", hostProblem),
  port: v.optional(wholeBetween(1, 65535)),
  database: v.optional(checked('a database name', databaseProblem)),
  secretArn,
  secretKeyArn: keyArn,
  iamUser: v.optional(checked('a role name', iamUserProblem)),
  resourceId: v.optional(checked('"db-…" or "cluster-…"', resourceIdProblem)),
  cluster: v.optional(flag),
  autoPause: v.optional(flag),
  adminSecretArn: secretArn,
  adminSecretKeyArn: keyArn,
  caFile: v.optional(text('a file of certificate authorities in PEM form')),
  mode: oneOf(['reap', 'observe']),
  // `policyProblems` checks it with the function's own schema.
  policy: v.optional(v.custom<PolicyInput | 'incident'>(() => true)),
  everySeconds: v.optional(v.picklist(PERIODS_S, `expected ${PERIODS_S.join(', ')}`)),
  reserveConcurrency: v.optional(flag),
  network: v.optional(networkSchema),
  metrics: v.optional(oneOf(['cloudwatch', 'emf'])),
  metricSet: v.optional(oneOf(METRIC_SETS)),
  record: v.optional(flag),
  alarms: v.optional(alarmsSchema),
  // `boundsProblems` checks it with the function's own schema.
  bounds: v.optional(v.custom<BoundsInput>(() => true)),
})

const contextSchema = record({
  email: v.optional(v.pipe(text('an address'), v.email('expected an e-mail address'))),
  dashboards: v.optional(flag, true),
  alarms: v.optional(alarmsSchema, {}),
  targets: list(targetSchema, 'one or more targets'),
  // `readTargetsFile` has put its targets into `targets`.
  targetsFile: v.optional(text('a file with a list of targets, beside cdk.json')),
})

/** The context `slotkeeper` in `cdk.json`. */
export type Context = v.InferOutput<typeof contextSchema>
export type Target = Context['targets'][number]

/** A target before it is checked. */
type Unchecked = Partial<Record<keyof Target, unknown>>

/**
 * Reads and checks the app's context.
 * @param deployment the region and the account, if the app can be deployed. It then also refuses
 *   placeholders, and secrets that the function could not read there.
 * @param folder that of `cdk.json`, where `targetsFile` is
 * @throws Error that names the path of each problem and the accepted form
 */
export function readContext(
  given: unknown,
  deployment: Omit<Place, 'partition'> = {},
  folder = process.cwd(),
): Context {
  if (given === undefined) {
    throw new Error('context slotkeeper: missing; expected { "targets": [ … ] } in cdk.json')
  }
  const { context: input, file } = readTargetsFile(given, folder)
  const result = v.safeParse(contextSchema, input)
  const { targets } = (input ?? {}) as { targets?: unknown }
  const all: unknown[] = Array.isArray(targets) ? targets : []
  const found = [
    ...(result.issues ?? []).map((issue) => problemOf('slotkeeper', issue)),
    ...all.flatMap((target, index) =>
      typeof target === 'object' && target !== null
        ? [
            ...nameProblems(all, index),
            ...targetProblems(`slotkeeper.targets[${index}]`, target, deployment),
          ]
        : [],
    ),
    ...(deployment.account === undefined ? [] : placeholders('slotkeeper', input)),
  ]
  if (result.success && found.length === 0) return result.output
  if (file === undefined) throw refusal('context slotkeeper', found, 'context ')
  throw refusal(
    'context slotkeeper',
    found.map((problem) => problem.replace(/^slotkeeper\.targets(?=[[:])/, () => file)),
  )
}

function nameProblems(targets: unknown[], index: number): string[] {
  const nameOf = (target: unknown) => (target as Unchecked | null)?.name
  const name = nameOf(targets[index])
  const earlier = targets.findIndex((target) => nameOf(target) === name)
  if (name === undefined || earlier === index) return []
  return [
    `slotkeeper.targets[${index}].name: expected a unique name, but targets[${earlier}] has this one too, found ${brief(name)}`,
  ]
}

/** Problems between the keys of one target, each of which may be valid on its own. */
function targetProblems(path: string, target: Unchecked, deployment: Place): string[] {
  const { secretArn, iamUser, resourceId, mode, policy } = target
  const place = { ...deployment, partition: partitionOf(deployment.region) }
  const problems: string[] = []
  if ((secretArn === undefined) === (iamUser === undefined)) {
    const found = secretArn === undefined ? 'neither' : 'both'
    problems.push(`${path}: expected either secretArn or iamUser, found ${found}`)
  }
  if (iamUser !== undefined && secretArn === undefined && resourceId === undefined) {
    problems.push(
      `${path}.resourceId: missing; expected "db-…" or "cluster-…", which IAM authentication needs`,
    )
  }
  const pairs = [
    ['secretArn', 'secretKeyArn'],
    ['adminSecretArn', 'adminSecretKeyArn'],
  ] as const
  for (const [secretKey, keyKey] of pairs) {
    problems.push(...secretProblems(path, target, secretKey, keyKey, place))
  }
  if (policy !== undefined) problems.push(...policyProblems(path, policy))
  else if (mode === 'reap') problems.push(`${path}.policy: ${POLICY_MISSING}`)
  problems.push(...boundsProblems(path, target))
  problems.push(...hostProblems(path, target), ...authoritiesProblems(path, target, deployment))
  return problems
}

/** Problems of the host that depend on whether the target is a whole cluster. */
function hostProblems(path: string, target: Unchecked): string[] {
  const { host, cluster, autoPause, resourceId, adminSecretArn } = target
  const isCluster = cluster === true
  const problems =
    autoPause === true && !isCluster
      ? [`${path}.autoPause: expected "cluster": true beside it`]
      : []
  if (typeof host !== 'string' || isPlaceholder(host) || hostProblem(host)) return problems
  const problem = targetHostProblem(host, isCluster)
  if (problem !== undefined) {
    problems.push(`${path}.host: ${problem}, found ${shown(`${path}.host`, host)}`)
  }
  if (!isCluster) return problems
  const id = typeof resourceId === 'string' ? resourceId : undefined
  const wishes = { autoPause: autoPause === true, createRole: adminSecretArn !== undefined }
  return [...problems, ...clusterProblems(path, { host, resourceId: id }, wishes)]
}

function authoritiesProblems(path: string, target: Unchecked, { region = '' }: Place): string[] {
  const { caFile, host } = target
  if (typeof host !== 'string' || (caFile !== undefined && typeof caFile !== 'string')) return []
  const problem = authoritiesProblem(caFile, host, region, builtFolder('lambda'))
  return problem === undefined ? [] : [`${path}.caFile: ${problem}`]
}

function secretProblems(
  path: string,
  target: Unchecked,
  secretKey: keyof Target,
  keyKey: keyof Target,
  stack: Place,
): string[] {
  const { [secretKey]: secret, [keyKey]: key } = target
  if (key !== undefined && secret === undefined) {
    return [`${path}.${keyKey}: expected ${secretKey} beside it: it is the key of that secret`]
  }
  if (typeof secret !== 'string') return []
  const place = placeOf(secret)
  const problem = placeProblem(place, stack, key !== undefined)
  const problems = problem === undefined ? [] : [`${path}.${secretKey}: ${problem}`]
  const { region } = placeOf(typeof key === 'string' ? key : '')
  if (region !== undefined && place.region !== undefined && region !== place.region) {
    problems.push(
      `${path}.${keyKey}: expected a key of the secret's region, ${place.region}, found a key of ${region}`,
    )
  }
  return problems
}

function boundsProblems(path: string, { bounds, adminSecretArn }: Unchecked): string[] {
  if (bounds === undefined) return []
  const parsed = parseBounds(bounds)
  const problems = parsed.ok ? [] : parsed.problems.map((problem) => `${path}.${problem}`)
  if (adminSecretArn === undefined) {
    problems.push(`${path}.bounds: expected adminSecretArn beside it, which sets them`)
  }
  return problems
}

function policyProblems(path: string, policy: unknown): string[] {
  const parsed = parsePolicy(policy)
  return parsed.ok ? [] : parsed.problems.map((problem) => `${path}.${problem}`)
}

/** Refuses placeholders from documents, except in names and policies, where any text is valid. */
function placeholders(path: string, value: unknown): string[] {
  if (typeof value === 'string') {
    if (!isPlaceholder(value)) return []
    return [`${path}: ${shown(path, value)} is a placeholder; expected the real value`]
  }
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, child]) => {
    if (['name', 'policy', 'database', 'iamUser', 'bounds'].includes(key)) return []
    return placeholders(Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, child)
  })
}
