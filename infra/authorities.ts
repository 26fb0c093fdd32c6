import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Token } from 'aws-cdk-lib'
import { regionOf } from '../lambda/core/endpoint.ts'
import { marked } from './pem.ts'

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const WHERE = 'docs/operations.md, "Certificate authorities", says where RDS publishes them'

/** The certificates of a file, to be trusted beside those of RDS that the package has. */
export function readAuthorities(file: string): string {
  return certificatesOf(readFileSync(file, 'utf8')).map(marked).join('\n')
}

/**
 * Why no certificate of the server could ever be verified: the file can't be used, or there is none for a region
 * whose authorities the package lacks. Undefined where all is well.
 * @param region of the stack, where the host is known only in the deployment
 * @param bundle the folder of the built function
 */
export function authoritiesProblem(
  file: string | undefined,
  host: string,
  region: string,
  bundle: string,
): string | undefined {
  return file === undefined ? regionProblem(host, region, bundle) : fileProblem(file)
}

function regionProblem(host: string, region: string, bundle: string): string | undefined {
  const of = Token.isUnresolved(host) ? region : regionOf(host)
  if (of === undefined || Token.isUnresolved(of)) return undefined
  if (readFileSync(join(bundle, 'rds-ca.pem'), 'utf8').includes(`# ${of}\n`)) return undefined
  return `missing; the package has no certificate authorities of RDS in ${of}: expected a file of them in PEM form; ${WHERE}`
}

function fileProblem(file: string): string | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  const found = certificatesOf(text)
  if (found.length === 0) {
    return `${file} holds no certificate; expected PEM, "-----BEGIN CERTIFICATE-----"; ${WHERE}`
  }
  const wrong = found.findIndex((pem) => !isAuthority(pem))
  return wrong < 0
    ? undefined
    : `certificate ${wrong + 1} in ${file} is not one of an authority, or is damaged`
}

const certificatesOf = (text: string): string[] => text.match(PEM) ?? []

function isAuthority(pem: string): boolean {
  try {
    const certificate = new X509Certificate(pem)
    // A server's own certificate vouches for itself alone where it is self-signed.
    return certificate.ca || certificate.checkIssued(certificate)
  } catch {
    return false
  }
}
