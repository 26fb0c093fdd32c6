import { fileURLToPath } from 'node:url'
import type { CloudFormationCustomResourceEvent, Context } from 'aws-lambda'
import { secretCredentials } from './aws/credentials.ts'
import { type Bounds, parseBoundsText } from './core/bounds.ts'
import { isLoopback, regionOf } from './core/endpoint.ts'
import { messageOf, SlotkeeperError } from './errors.ts'
import { log, logAs } from './log.ts'
import { applyBounds } from './postgres/bounds.ts'
import { connect, type Link } from './postgres/connect.ts'
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
  /** The bounds of application roles, as JSON. */
  bounds?: string
}

const caFile = fileURLToPath(new URL('rds-ca.pem', import.meta.url))

/**
 * When the stack is deployed: creates the role with the least rights, checks that the role can log in, and sets
 * the bounds of application roles. CloudFormation shows the message of a thrown error as the reason for the
 * failure. When the stack is deleted, the bounds are taken back. The role stays, because something else may use
 * it by then.
 */
export async function handler(event: CloudFormationCustomResourceEvent, context?: Context) {
  logAs(context?.awsRequestId)
  const properties = event.ResourceProperties as unknown as Properties
  // It stays the same for another host too: CloudFormation would delete the old one after the new one is made,
  // and both names may lead to one server.
  const PhysicalResourceId =
    'PhysicalResourceId' in event ? event.PhysicalResourceId : `slotkeeper-role-${properties.host}`
  if (event.RequestType === 'Delete') {
    log('INFO', 'the database role is left in place')
    await release(properties)
    return { PhysicalResourceId }
  }
  const former =
    event.RequestType === 'Update'
      ? (event.OldResourceProperties as unknown as Properties | undefined)
      : undefined
  const moved = former !== undefined && former.host !== properties.host
  if (moved) await release(former)
  try {
    const before = moved ? [] : formerBounds(former)
    return { PhysicalResourceId, Data: await provision(properties, before) }
  } catch (error) {
    log('ERROR', 'the database role is not ready', {
      host: properties.host,
      error: messageOf(error),
    })
    throw error
  }
}

async function provision(
  properties: Properties,
  before: Bounds,
): Promise<{ Role: string; Refused: string }> {
  const { host, port, secret, iamUser, database } = properties
  const bounds = readBounds(properties.bounds)
  const at = { host, port: Number(port) }
  const tls = tlsFor(host)
  const readReaper =
    secret === undefined
      ? undefined
      : secretCredentials(secret, database === undefined ? at : { ...at, database })
  const reaper = await readReaper?.(false)
  const role = iamUser ?? reaper?.user ?? ''
  const link = await connectAsAdmin(properties)
  try {
    const auth = readReaper === undefined ? 'iam' : 'secret'
    const refused = await provide(link, { role, auth }, reaper && scramVerifier(reaper.password))
    for (const reason of refused) log('WARN', 'grant refused', { role, reason })
    const untried = readReaper
      ? await checkPassword(link, role, readReaper, tls)
      : await checkToken(link, role)
    if (untried) log('WARN', 'login not tried', { role, reason: untried })
    // Last: if they fail, CloudFormation makes no call that takes them back after a first deployment.
    await bind(link, role, bounds, before)
    return { Role: role, Refused: [...refused, ...(untried ? [untried] : [])].join('; ') }
  } finally {
    await link.close()
  }
}

function tlsFor(host: string) {
  return !isLoopback(host) && { ca: readCertificates(caFile, regionOf(host)), verifyName: true }
}

async function connectAsAdmin({ adminSecret, host, port }: Properties): Promise<Link> {
  const admin = await secretCredentials(adminSecret, { host, port: Number(port) })(false)
  return inEitherDatabase(admin, (chosen) => connect(chosen, tlsFor(host), 'client', CONNECT_MS))
}

async function bind(link: Link, role: string, bounds: Bounds, before: Bounds): Promise<void> {
  const { statements, notes } = await applyBounds(link, role, bounds, before)
  for (const note of notes) log('WARN', 'bound', { note })
  if (statements.length > 0) log('INFO', 'bounds are set', { statements })
}

/** Takes the bounds back. If that fails, it must not keep the stack: the server may be gone by now. */
async function release(properties: Properties): Promise<void> {
  const before = formerBounds(properties)
  if (before.length === 0) return
  try {
    const link = await connectAsAdmin(properties)
    try {
      await bind(link, '', [], before)
    } finally {
      await link.close()
    }
  } catch (error) {
    const { host } = properties
    log('WARN', 'the bounds are left in place', { host, error: messageOf(error) })
  }
}

function readBounds(json: string | undefined): Bounds {
  if (json === undefined) return []
  const bounds = parseBoundsText(json)
  if (bounds.ok) return bounds.value
  throw new SlotkeeperError('settings', bounds.problems.join('; '))
}

/** The bounds of the last deployment. An invalid text was never applied. */
function formerBounds(former: Properties | undefined): Bounds {
  const bounds = parseBoundsText(former?.bounds ?? '[]')
  return bounds.ok ? bounds.value : []
}
