// Which names AWS and PostgreSQL accept. Each function returns why a name is refused, or undefined.

/** CloudWatch's limit for a namespace, in characters. */
const MOST_NAMESPACE = 255
/** The name is part of descriptions too, and Lambda limits a description to 256 characters. */
const MOST_TARGET = 200
/** PostgreSQL truncates a longer name (`NAMEDATALEN` - 1). */
const MOST_NAME_BYTES = 63

const ASCII = /^[\x20-\x7e]*$/

/** The name becomes the dimension `Target` of the metrics. Source: CloudWatch's API, `Dimension`. */
export function targetProblem(name: string): string | undefined {
  const form = `expected 1 to ${MOST_TARGET} printable ASCII characters, not beginning with ":"`
  return isCloudWatchName(name, MOST_TARGET) ? undefined : form
}

/** Source: CloudWatch's API, `PutMetricData`. */
export function namespaceProblem(name: string): string | undefined {
  if (/^AWS\//i.test(name))
    return 'expected a namespace that does not begin with "AWS/", which is for AWS\'s own metrics'
  const form = `expected 1 to ${MOST_NAMESPACE} printable ASCII characters, not beginning with ":"`
  return isCloudWatchName(name, MOST_NAMESPACE) ? undefined : form
}

function isCloudWatchName(name: string, most: number): boolean {
  return ASCII.test(name) && name.trim() !== '' && name.length <= most && !name.startsWith(':')
}

export function databaseProblem(name: string): string | undefined {
  if (name === 'template0' || name === 'rdsadmin') {
    return 'no role may connect to this database; expected another, such as "postgres"'
  }
  return lengthProblem(name)
}

/** The role's name becomes part of an IAM policy, where `*`, `?` and `${` would match other roles too. */
export function iamUserProblem(name: string): string | undefined {
  if (/[*?]|\$\{/.test(name)) return 'expected the name of one role, without "*", "?" and "${"'
  return lengthProblem(name)
}

function lengthProblem(name: string): string | undefined {
  if (Buffer.byteLength(name) <= MOST_NAME_BYTES) return undefined
  return `expected at most ${MOST_NAME_BYTES} bytes, because PostgreSQL truncates longer names`
}

/** The resource id of a server, which RDS generates. It is not the name that you gave the server. */
export function resourceIdProblem(id: string): string | undefined {
  if (id.startsWith('prx-'))
    return 'this is RDS Proxy, a pooler; expected the resource id of the server itself'
  if (/^(db|cluster)-[A-Za-z0-9]+$/.test(id)) return undefined
  return 'expected the resource id, "db-…" or "cluster-…" ("aws rds describe-db-instances" prints it as DbiResourceId)'
}

/** Ids such as `vpc-0a1b2c3d`: eight or seventeen hexadecimal digits. */
export const idProblem = (prefix: string) => (id: string) =>
  new RegExp(`^${prefix}-([0-9a-f]{8}|[0-9a-f]{17})$`).test(id)
    ? undefined
    : `expected "${prefix}-" and 8 or 17 hexadecimal digits`
