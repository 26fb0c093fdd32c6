import { Stack, Token } from 'aws-cdk-lib'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { IConstruct } from 'constructs'
import { parseBounds } from '../lambda/core/bounds.ts'
import { POLICY_MISSING, parsePolicy } from '../lambda/core/policy.ts'
import { isComplete, type Place, partitionOf, placeProblem, secretArnProblem } from './arns.ts'
import { builtFolder } from './assets.ts'
import { authoritiesProblem } from './authorities.ts'
import { addressOf } from './database.ts'
import { databaseProblems } from './database-problems.ts'
import { isPlaceholder } from './placeholders.ts'
import { shapeProblems } from './prop-checks.ts'
import type { SecretAuth, SessionReaperProps } from './props.ts'

/** The properties that are valid on their own. `vpc` is always included, to know whether it was given. */
type Sound = Partial<SessionReaperProps>

/** All problems of the properties, each with its path. Empty if the properties are valid. */
export function propProblems(scope: IConstruct, props: SessionReaperProps): string[] {
  const problems = shapeProblems(props)
  if (typeof props !== 'object' || props === null) return problems
  const wrong = new Set(problems.map((problem) => /^\w+/.exec(problem)?.[0]))
  const right = Object.entries(props).filter(([name]) => !wrong.has(name))
  const sound: Sound = { ...Object.fromEntries(right), vpc: props.vpc }
  const ofDatabase = databaseProblems(scope, sound)
  return [
    ...problems,
    ...authProblems(props.auth),
    ...ofDatabase,
    ...networkProblems(sound),
    ...logProblems(sound),
    ...secretProblems(scope, sound),
    // An invalid server has no address to check.
    ...(ofDatabase.length === 0 ? authoritiesProblems(scope, sound) : []),
    ...policyProblems(props),
    ...boundsProblems(props),
  ]
}

function authoritiesProblems(scope: IConstruct, sound: Sound): string[] {
  const { certificateAuthorities, database, endpoint } = sound
  if (database === undefined) return []
  const { host } = addressOf(database, endpoint)
  const { region } = Stack.of(scope)
  const problem = authoritiesProblem(certificateAuthorities, host, region, builtFolder('lambda'))
  return problem === undefined ? [] : [`certificateAuthorities: ${problem}`]
}

function policyProblems({ mode, policy }: SessionReaperProps): string[] {
  if (policy === undefined) return mode === 'reap' ? [`policy: ${POLICY_MISSING}`] : []
  let json: string
  try {
    json = JSON.stringify(policy) ?? 'null'
  } catch (error) {
    return [`policy: expected what JSON can hold: ${(error as Error).message.split('\n')[0]}`]
  }
  // The function reads the policy from JSON, which leaves out undefined values.
  const parsed = parsePolicy(JSON.parse(json))
  return parsed.ok ? [] : parsed.problems
}

function boundsProblems({ bounds, createRole }: SessionReaperProps): string[] {
  if (bounds === undefined) return []
  const parsed = parseBounds(bounds)
  return [
    ...(parsed.ok ? [] : parsed.problems),
    ...(createRole === undefined ? ['bounds: expected createRole beside it, which sets them'] : []),
  ]
}

/** @param auth any value, because an app in JavaScript can pass anything */
function authProblems(auth: unknown): string[] {
  if (typeof auth !== 'object' || auth === null || Array.isArray(auth)) return []
  const { secret, iamUser, encryptionKey } = auth as Record<string, unknown>
  if (secret !== undefined && iamUser !== undefined) {
    return ['auth: expected { secret } or { iamUser }, found both']
  }
  if (secret === undefined && iamUser === undefined) {
    return ['auth: expected { secret } or { iamUser }, found neither']
  }
  if (secret === undefined && encryptionKey !== undefined) {
    return ['auth.encryptionKey: expected secret beside it: it is the key of that secret']
  }
  return []
}

/** Properties that have no effect outside of a VPC. */
function networkProblems(props: Sound): string[] {
  if (props.vpc) return []
  return (['vpcSubnets', 'securityGroups', 'createEndpoints'] as const)
    .filter((name) => props[name])
    .map((name) => `${name}: expected vpc beside it`)
}

function logProblems(props: Sound): string[] {
  if (!props.logGroup) return []
  return (['logRetention', 'logEncryptionKey'] as const)
    .filter((name) => props[name] !== undefined)
    .map((name) => `${name}: expected none beside logGroup, which has its own`)
}

function secretProblems(scope: IConstruct, { auth, createRole }: Sound): string[] {
  const stack = placeOfStack(Stack.of(scope))
  const problemsOf = (path: string, secret: ISecret | undefined, key: IKey | undefined) => {
    if (secret === undefined) return []
    const problem =
      formProblem(secret) ?? placeProblem(placeOfSecret(secret), stack, key !== undefined)
    return problem === undefined ? [] : [`${path}: ${problem}`]
  }
  const { secret, encryptionKey } = (auth ?? {}) as Partial<SecretAuth>
  return [
    ...problemsOf('auth.secret', secret, encryptionKey),
    ...problemsOf(
      'createRole.adminSecret',
      createRole?.adminSecret,
      createRole?.adminEncryptionKey,
    ),
  ]
}

/** Checks the ARN of an imported secret. Only the deployment knows the ARN of a secret that this app creates. */
function formProblem({ secretFullArn, secretArn, secretName }: ISecret): string | undefined {
  if (secretFullArn === undefined && !Token.isUnresolved(secretName) && isComplete(secretName)) {
    return `the end of "${secretName}" looks like the suffix of a complete ARN, and Secrets Manager would read it as one; expected Secret.fromSecretCompleteArn`
  }
  if (Token.isUnresolved(secretArn) || isPlaceholder(secretArn)) return undefined
  return secretFullArn === undefined ? undefined : secretArnProblem(secretArn)
}

function placeOfSecret({ env, secretArn }: ISecret): Place {
  const partition = Token.isUnresolved(secretArn) ? undefined : secretArn.split(':')[1]
  return { partition, region: known(env.region), account: known(env.account) }
}

function placeOfStack(stack: Stack): Place {
  const region = known(stack.region)
  return { partition: partitionOf(region), region, account: known(stack.account) }
}

function known(value: string): string | undefined {
  return Token.isUnresolved(value) ? undefined : value
}
