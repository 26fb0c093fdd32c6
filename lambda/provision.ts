import { fileURLToPath } from 'node:url'
import type { CloudFormationCustomResourceEvent, Context } from 'aws-lambda'
import { secretCredentials } from './aws/credentials.ts'
import { isLoopback, regionOf } from './core/endpoint.ts'
import { messageOf } from './errors.ts'
import { log, logAs } from './log.ts'
import { connect } from './postgres/connect.ts'
import { inEitherDatabase } from './postgres/gate.ts'
import { provide } from './postgres/role.ts'
import { checkPassword, checkToken } from './postgres/role-login.ts'
import { scramVerifier } from './postgres/scram.ts'
import { readCertificates } from './postgres/tls.ts'

const CONNECT_MS = 10_000

/** What the construct hands over. A property that changes makes CloudFormation ask again. */
type Properties = {
  adminSecret: string
  host: string
  port: string
  /** The reaper's secret, or the role that logs in with IAM tokens. */
  secret?: string
  iamUser?: string
  /** That the sweep logs in to, where it is not the secret's or `postgres`. */
  database?: string
}

const caFile = fileURLToPath(new URL('rds-ca.pem', import.meta.url))

/**
 * Makes the least role when the stack is deployed, and sees that it can log in. What it throws is
 * CloudFormation's own reason of the failure. Deleting the stack leaves the role: a person may have come
 * to use it.
 */
export async function handler(event: CloudFormationCustomResourceEvent, context?: Context) {
  logAs(context?.awsRequestId)
  const properties = event.ResourceProperties as unknown as Properties
  const PhysicalResourceId = `slotkeeper-role-${properties.host}`
  if (event.RequestType === 'Delete') {
    log('INFO', 'the database role is left in place')
    return { PhysicalResourceId }
  }
  try {
    return { PhysicalResourceId, Data: await provision(properties) }
  } catch (error) {
    log('ERROR', 'the database role is not ready', {
      host: properties.host,
      error: messageOf(error),
    })
    throw error
  }
}

async function provision(properties: Properties): Promise<{ Role: string; Refused: string }> {
  const { adminSecret, host, port, secret, iamUser, database } = properties
  const at = { host, port: Number(port) }
  const tls = !isLoopback(host) && {
    ca: readCertificates(caFile, regionOf(host)),
    verifyName: true,
  }
  const readReaper =
    secret === undefined
      ? undefined
      : secretCredentials(secret, database === undefined ? at : { ...at, database })
  const reaper = await readReaper?.(false)
  const role = iamUser ?? reaper?.user ?? ''
  const admin = await secretCredentials(adminSecret, at)(false)
  const link = await inEitherDatabase(admin, (chosen) => connect(chosen, tls, 'client', CONNECT_MS))
  try {
    const auth = readReaper === undefined ? 'iam' : 'secret'
    const refused = await provide(link, { role, auth }, reaper && scramVerifier(reaper.password))
    for (const reason of refused) log('WARN', 'grant refused', { role, reason })
    const untried = readReaper
      ? await checkPassword(link, role, readReaper, tls)
      : await checkToken(link, role)
    if (untried) log('WARN', 'login not tried', { role, reason: untried })
    return { Role: role, Refused: [...refused, ...(untried ? [untried] : [])].join('; ') }
  } finally {
    await link.close()
  }
}
