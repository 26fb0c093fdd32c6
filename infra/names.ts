// What AWS and PostgreSQL take for a name. Each function says why one is refused, or nothing.

/** CloudWatch's bound for a namespace. */
const MOST_NAMESPACE = 255
/** The name goes into descriptions as well: Lambda's hold 256 characters. */
const MOST_TARGET = 200
/** PostgreSQL cuts what is longer (`NAMEDATALEN` - 1). */
const MOST_NAME_BYTES = 63

const ASCII = /^[\x20-\x7e]*$/

/** For the dimension `Target` of the metrics. Source: CloudWatch's API, `Dimension`. */
export function targetProblem(name: string): string | undefined {
  const form = `expected 1 to ${MOST_TARGET} printable ASCII characters, the first no ":"`
  return isCloudWatchName(name, MOST_TARGET) ? undefined : form
}

/** Source: CloudWatch's API, `PutMetricData`. */
export function namespaceProblem(name: string): string | undefined {
  if (/^AWS\//i.test(name))
    return 'expected a namespace that does not begin with "AWS/", as AWS\'s own do'
  const form = `expected 1 to ${MOST_NAMESPACE} printable ASCII characters, the first no ":"`
  return isCloudWatchName(name, MOST_NAMESPACE) ? undefined : form
}

function isCloudWatchName(name: string, most: number): boolean {
  return ASCII.test(name) && name.trim() !== '' && name.length <= most && !name.startsWith(':')
}

export function databaseProblem(name: string): string | undefined {
  if (name === 'template0' || name === 'rdsadmin') {
    return 'nobody may connect to this database; expected another, such as "postgres"'
  }
  return lengthProblem(name)
}

/** A role's name goes into an IAM policy, where `*`, `?` and `${` mean others too. */
export function iamUserProblem(name: string): string | undefined {
  if (/[*?]|\$\{/.test(name)) return 'expected the name of one role, without "*", "?" and "${"'
  return lengthProblem(name)
}

function lengthProblem(name: string): string | undefined {
  if (Buffer.byteLength(name) <= MOST_NAME_BYTES) return undefined
  return `expected at most ${MOST_NAME_BYTES} bytes, which is all that PostgreSQL keeps of a name`
}

/** What RDS calls a server where IAM names it: not the name that you gave it. */
export function resourceIdProblem(id: string): string | undefined {
  if (id.startsWith('prx-'))
    return 'this is RDS Proxy, a pooler; expected the id of the server itself'
  if (/^(db|cluster)-[A-Za-z0-9]+$/.test(id)) return undefined
  return 'expected the resource id, "db-…" or "cluster-…" ("aws rds describe-db-instances" prints it as DbiResourceId)'
}

/** Ids such as `vpc-0a1b2c3d`: eight or seventeen hexadecimal digits. */
export const idProblem = (prefix: string) => (id: string) =>
  new RegExp(`^${prefix}-([0-9a-f]{8}|[0-9a-f]{17})$`).test(id)
    ? undefined
    : `expected "${prefix}-" and 8 or 17 hexadecimal digits`
