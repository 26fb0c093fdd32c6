import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Token } from 'aws-cdk-lib'
import { regionOf } from '../lambda/core/endpoint.ts'
import { marked } from './pem.ts'

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const WHERE = 'docs/operations.md, "Certificate authorities", says where RDS publishes them'

/** Reads the certificates of a file. The function trusts them in addition to the package's own. */
export function readAuthorities(file: string): string {
  return certificatesOf(readFileSync(file, 'utf8')).map(marked).join('\n')
}

/**
 * Why the function could never verify the server's certificate, or undefined. Either the given file
 * can't be used, or no file is given and the package has no authorities for the region.
 * @param region the region of the stack, used if only the deployment knows the host
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
  return `missing; the package has no certificate authorities of RDS in ${of}; expected a file with them in PEM form; ${WHERE}`
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
    return `${file} holds no certificate; expected PEM, which begins with "-----BEGIN CERTIFICATE-----"; ${WHERE}`
  }
  const wrong = found.findIndex((pem) => !isAuthority(pem))
  return wrong < 0
    ? undefined
    : `certificate ${wrong + 1} in ${file} is damaged, or is not the certificate of an authority`
}

const certificatesOf = (text: string): string[] => text.match(PEM) ?? []

function isAuthority(pem: string): boolean {
  try {
    const certificate = new X509Certificate(pem)
    // A self-signed certificate of a server is its own authority.
    return certificate.ca || certificate.checkIssued(certificate)
  } catch {
    return false
  }
}
