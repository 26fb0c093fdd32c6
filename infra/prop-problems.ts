import { Stack, Token } from 'aws-cdk-lib'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { Endpoint, IDatabaseCluster, IDatabaseInstance } from 'aws-cdk-lib/aws-rds'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { IConstruct } from 'constructs'
import { isComplete, type Place, partitionOf, placeProblem, secretArnProblem } from './arns.ts'
import { hostProblem } from './hosts.ts'
import { isPlaceholder } from './placeholders.ts'
import { shapeProblems } from './prop-checks.ts'
import type { IamAuth, SecretAuth, SessionReaperProps } from './props.ts'

/** Properties that have the right form by themselves; of the others, only that they were given. */
type Sound = Partial<SessionReaperProps>

/** Everything that is wrong with the properties, each with its path; none where they can work. */
export function propProblems(scope: IConstruct, props: SessionReaperProps): string[] {
  const problems = shapeProblems(props)
  if (typeof props !== 'object' || props === null) return problems
  const wrong = new Set(problems.map((problem) => /^\w+/.exec(problem)?.[0]))
  const right = Object.entries(props).filter(([name]) => !wrong.has(name))
  const sound: Sound = { ...Object.fromEntries(right), vpc: props.vpc }
  return [
    ...problems,
    ...authProblems(props.auth),
    ...databaseProblems(scope, sound),
    ...networkProblems(sound),
    ...logProblems(sound),
    ...secretProblems(scope, sound),
  ]
}

/** Any value: JavaScript may have put it there. */
function authProblems(auth: unknown): string[] {
  if (typeof auth !== 'object' || auth === null) return []
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

function databaseProblems(scope: IConstruct, sound: Sound): string[] {
  const { database, endpoint, auth, vpc } = sound
  if (database === undefined) return []
  const problems: string[] = []
  if ('host' in database) {
    const { host, resourceId } = database
    if (!Token.isUnresolved(Stack.of(scope).account) && isPlaceholder(host)) {
      problems.push(
        `database.host: "${host}" is a placeholder; expected the endpoint of your server`,
      )
    }
    if (endpoint) {
      problems.push('endpoint: expected none beside database.host, which is the endpoint')
    }
    if (iamUserOf(auth) !== undefined && resourceId === undefined) {
      problems.push(
        'database.resourceId: missing; expected "db-…" or "cluster-…", which IAM authentication names',
      )
    }
    return problems
  }
  if (!vpc) {
    problems.push(
      'vpc: missing; expected the VPC of the rds instance or cluster (for one that is publicly accessible, database: { host } needs none)',
    )
  }
  return [...problems, ...endpointProblems(database, endpoint)]
}

function endpointProblems(
  database: IDatabaseInstance | IDatabaseCluster,
  endpoint?: Endpoint,
): string[] {
  if (!('clusterEndpoint' in database)) {
    if (endpoint) return ['endpoint: expected none beside an instance, which has one endpoint']
    return hostProblems('database', database.instanceEndpoint)
  }
  if (endpoint === undefined) return []
  if (endpoint.hostname === readerOf(database)) {
    return [
      'endpoint: this is the reader endpoint, a different instance with each connection; expected one of instanceEndpoints',
    ]
  }
  return hostProblems('endpoint', endpoint)
}

/** Of an endpoint that is known already: of an imported server. */
function hostProblems(path: string, { hostname }: Endpoint): string[] {
  const problem = Token.isUnresolved(hostname) ? undefined : hostProblem(hostname)
  return problem === undefined ? [] : [`${path}: ${problem}, found "${hostname}"`]
}

function readerOf(cluster: IDatabaseCluster): string | undefined {
  try {
    return cluster.clusterReadEndpoint.hostname
  } catch {
    // An imported cluster may not know it, and says so by an exception.
    return undefined
  }
}

/** What is in vain outside of a VPC. */
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

function iamUserOf(auth: Sound['auth']): string | undefined {
  return (auth as Partial<IamAuth> | undefined)?.iamUser
}

/** Of an imported secret: one that this app makes has an ARN which only the deployment knows. */
function formProblem({ secretFullArn, secretArn, secretName }: ISecret): string | undefined {
  if (secretFullArn === undefined && !Token.isUnresolved(secretName) && isComplete(secretName)) {
    return `Secrets Manager takes the end of "${secretName}" for the suffix of a complete ARN; expected Secret.fromSecretCompleteArn`
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
