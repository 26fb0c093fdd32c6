import type { Credentials } from '../core/credentials.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'

const UNTRUSTED = [
  'was issued by an authority that is not trusted here',
  'If it is the right authority, give its certificates up to the root: certificateAuthorities of the construct, caFile in cdk.json, SLOTKEEPER_CA_FILE of the function, sslrootcert on the command line. Some regions of RDS need this (docs/operations.md, "Certificate authorities"). If RDS should answer, check the host name and anything in between.',
] as const

/** What is wrong with a certificate, by the error code of Node.js, and what fixes it. */
const CERTIFICATE_FAULTS: Record<string, readonly [fault: string, remedy: string]> = {
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'is for another host name',
    'Connect by a name that is in it: on RDS the endpoint, neither an address nor an alias. Through a tunnel, give the endpoint as host and the near end of the tunnel as hostaddr (host=ENDPOINT&hostaddr=127.0.0.1), or use sslmode=verify-ca.',
  ],
  CERT_HAS_EXPIRED: [
    "has expired, or its authority's has",
    'Install a new one; on RDS give the instance a current authority (aws rds modify-db-instance --ca-certificate-identifier …).',
  ],
  CERT_NOT_YET_VALID: ['is not valid yet', 'Check its dates, and the clocks of both sides.'],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    'is self-signed, so no authority vouches for it',
    "Install a certificate from an authority. If this certificate is the server's own, put it in SLOTKEEPER_CA_FILE (sslrootcert on the command line). RDS never shows a self-signed certificate.",
  ],
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  CERT_REVOKED: ['was revoked', 'Install a new one.'],
  UNABLE_TO_GET_CRL: [
    'was issued by an authority whose list of revoked certificates is missing',
    'Add it to the file that sslcrl names.',
  ],
  INVALID_PURPOSE: ['is not meant for servers', 'Install one with the key usage serverAuth.'],
}

const ANY_FAULT = [
  'was not accepted',
  'Check it, and the certificate authorities (SLOTKEEPER_CA_FILE; sslrootcert on the command line).',
] as const

/** The server refuses the client certificate. The error code then contains the name of the TLS alert. */
const OF_CLIENT =
  /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|NO_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_)/

/** What failed in TLS and what fixes it; undefined if it is not a TLS error. */
export function tlsFailure(error: unknown, where: string): string | undefined {
  const code = String((error as { code?: unknown }).code)
  if (OF_CLIENT.test(code) || code === 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED') {
    return `${where} does not accept the client certificate (${code}). Give sslcert and sslkey from an authority that is in its ssl_ca_file.`
  }
  if (code in CERTIFICATE_FAULTS || /CERT|SIGNATURE|ISSUER|INVALID_CA|UNSPECIFIED/.test(code)) {
    const [fault, remedy] = CERTIFICATE_FAULTS[code] ?? ANY_FAULT
    return `the certificate of ${where} ${fault}: ${messageOf(error)} (${code}). ${remedy}`
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return `TLS with ${where} failed (${code}). Slotkeeper needs TLS 1.2 or later: check ssl_min_protocol_version, ssl_max_protocol_version and ssl_ciphers of the server.`
  }
  return undefined
}

/** The error for a server that answers no to the request for TLS. */
export function plaintextOnly(error: unknown, { host, port }: Credentials): SlotkeeperError {
  return new SlotkeeperError(
    'tls',
    `${host}:${port} offers no TLS: ${messageOf(error)}. On RDS it is on by default, so check that the host name and the port are the server's own; elsewhere set ssl = on with ssl_cert_file and ssl_key_file.`,
    { cause: error },
  )
}
