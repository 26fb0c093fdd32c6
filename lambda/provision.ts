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

/** What the construct passes. When a property changes, CloudFormation calls the handler again. */
type Properties = {
  adminSecret: string
  host: string
  port: string
  /** The secret that the sweep logs in with. It is missing if the sweep uses IAM tokens. */
  secret?: string
  /** The role that logs in with IAM tokens. */
  iamUser?: string
  /** The database that the sweep connects to, if it is neither the secret's nor `postgres`. */
  database?: string
}

const caFile = fileURLToPath(new URL('rds-ca.pem', import.meta.url))

/**
 * Creates the role with the least rights when the stack is deployed, and checks that the role can log in.
 * CloudFormation shows the message of a thrown error as the reason for the failure. When the stack is
 * deleted, the role stays, because something else may use it by then.
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
