import * as v from 'valibot'
import { METRIC_SETS } from '../lambda/core/measurements.ts'
import { POLICY_MISSING, type PolicyInput } from '../lambda/core/policy.ts'
import {
  describe,
  list,
  oneOf,
  record,
  text,
  uniqueNames,
  wholeFrom,
} from '../lambda/core/schema.ts'
import { alarmsSchema } from './alarm-settings.ts'

/** Hosts that stand for one in documents (RFC 2606, and AWS's own placeholder letters). */
const PLACEHOLDER = /(^|\.)(example|invalid|test|example\.(com|net|org))$|xxxx|[<>]/i

const id = (prefix: string) =>
  v.pipe(v.string(`expected "${prefix}…"`), v.startsWith(prefix, `expected "${prefix}…"`))

const networkSchema = record({
  vpcId: id('vpc-'),
  subnets: list(record({ id: id('subnet-'), availabilityZone: text('a zone') }), 'subnets'),
  securityGroupId: id('sg-'),
})

const NAME_FORM = 'expected letters, digits and -, at most 63, a letter first'

const targetSchema = v.pipe(
  record({
    // Part of a stack's name.
    name: v.pipe(v.string(NAME_FORM), v.regex(/^[A-Za-z][A-Za-z0-9-]{0,62}$/, NAME_FORM)),
    host: text("the server's endpoint"),
    port: v.optional(v.pipe(wholeFrom(1), v.maxValue(65535, 'expected a port'))),
    database: v.optional(text('a database name')),
    secretArn: v.optional(id('arn:')),
    secretKeyArn: v.optional(id('arn:')),
    iamUser: v.optional(text('a role name')),
    resourceId: v.optional(text('"db-…" or "cluster-…"')),
    adminSecretArn: v.optional(id('arn:')),
    adminSecretKeyArn: v.optional(id('arn:')),
    caFile: v.optional(text('a file of certificate authorities in PEM form')),
    mode: oneOf(['reap', 'observe']),
    // The construct validates it by the function's own schema.
    policy: v.optional(v.custom<PolicyInput>(() => true)),
    everySeconds: v.optional(wholeFrom(1)),
    reserveConcurrency: v.optional(v.boolean('expected true or false')),
    network: v.optional(networkSchema),
    metrics: v.optional(oneOf(['cloudwatch', 'emf'])),
    metricSet: v.optional(oneOf(METRIC_SETS)),
    alarms: v.optional(alarmsSchema),
  }),
  v.check(
    ({ secretArn, iamUser }) => (secretArn === undefined) !== (iamUser === undefined),
    'expected either secretArn or iamUser',
  ),
  v.forward(
    v.check(({ mode, policy }) => mode === 'observe' || policy !== undefined, POLICY_MISSING),
    ['policy'],
  ),
)

const contextSchema = record({
  email: v.optional(v.pipe(text('an address'), v.email('expected an e-mail address'))),
  dashboards: v.optional(v.boolean('expected true or false'), true),
  alarms: v.optional(alarmsSchema, {}),
  targets: v.pipe(
    list(targetSchema, 'one or more targets'),
    uniqueNames('an earlier target has this one'),
  ),
})

/** What `cdk.json` says under `slotkeeper`. */
export type Context = v.InferOutput<typeof contextSchema>
export type Target = Context['targets'][number]

/**
 * Reads the app's context.
 * @throws Error of one line that names each path and what was expected there
 */
export function readContext(input: unknown): Context {
  if (input === undefined) {
    throw new Error('context slotkeeper: missing; expected { "targets": [ … ] } in cdk.json')
  }
  const result = v.safeParse(contextSchema, input)
  if (result.success) return result.output
  throw new Error(
    `context ${result.issues.map((issue) => describe('slotkeeper', issue)).join('; ')}`,
  )
}

/**
 * @throws Error of one line where a host is one that documents use, and that nothing is deployed for
 */
export function refusePlaceholders({ targets }: Context): void {
  for (const [index, { host }] of targets.entries()) {
    if (PLACEHOLDER.test(host)) {
      throw new Error(
        `context slotkeeper.targets[${index}].host: "${host}" is a placeholder; expected the endpoint of your server`,
      )
    }
  }
}
