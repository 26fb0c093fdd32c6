import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Token } from 'aws-cdk-lib'
import { regionOf } from '../lambda/core/endpoint.ts'
import { marked } from './pem.ts'

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const WHERE = 'docs/operations.md, "Certificate authorities", says where RDS publishes them'

/**
 * The certificates of a file, to be trusted beside those of RDS that the package has.
 * @param path of the construct, for messages
 * @throws Error that names the file, where it can't be read or a certificate in it is none
 */
export function readAuthorities(file: string, path: string): string {
  const found = readFile(file, path).match(PEM) ?? []
  if (found.length === 0) {
    throw new Error(
      `${path}: certificateAuthorities: ${file} holds no certificate; expected PEM, "-----BEGIN CERTIFICATE-----"; ${WHERE}`,
    )
  }
  for (const [index, pem] of found.entries()) {
    if (!isAuthority(pem)) {
      throw new Error(
        `${path}: certificateAuthorities: certificate ${index + 1} in ${file} is not one of an authority, or is damaged`,
      )
    }
  }
  return found.map(marked).join('\n')
}

/**
 * @param region of the stack, where the host is known only in the deployment
 * @param bundle the folder of the built function
 * @param path of the construct, for messages
 * @throws Error where the server is in a region whose authorities the package lacks: no sweep could
 *   ever verify its certificate
 */
export function refuseUnknownRegion(
  host: string,
  region: string,
  bundle: string,
  path: string,
): void {
  const of = Token.isUnresolved(host) ? region : regionOf(host)
  if (of === undefined || Token.isUnresolved(of)) return
  if (readFileSync(join(bundle, 'rds-ca.pem'), 'utf8').includes(`# ${of}\n`)) return
  throw new Error(
    `${path}: certificateAuthorities: missing; the package has no certificate authorities of RDS in ${of}: expected a file of them in PEM form; ${WHERE}`,
  )
}

function readFile(file: string, path: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(
      `${path}: certificateAuthorities: ${error instanceof Error ? error.message : error}`,
    )
  }
}

function isAuthority(pem: string): boolean {
  try {
    const certificate = new X509Certificate(pem)
    // A server's own certificate vouches for itself alone where it is self-signed.
    return certificate.ca || certificate.checkIssued(certificate)
  } catch {
    return false
  }
}
