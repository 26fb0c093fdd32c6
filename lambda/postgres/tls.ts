import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { messageOf, SlotkeeperError } from '../errors.ts'

/**
 * How to use TLS, or false for a connection without TLS. `ca` is PEM text. Without `verifyName`, the chain is
 * verified but the host name is not. With `requireBinding`, only a login that is tied to the TLS connection
 * is accepted.
 */
export type Tls =
  | false
  | ({ ca: string[]; verifyName: boolean; requireBinding?: boolean } & Pick<
      ConnectionOptions,
      'cert' | 'key' | 'passphrase' | 'crl' | 'minVersion' | 'maxVersion'
    >)

/**
 * The options for Node.js. The certificate must be for `host`, even if the connection goes to another
 * address.
 */
export function tlsOptions(
  { verifyName, requireBinding: _, ...tls }: Exclude<Tls, false>,
  host: string,
) {
  return {
    ...tls,
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    rejectUnauthorized: true,
    ...(verifyName ? {} : { checkServerIdentity: () => undefined }),
  }
}

/** A certificate in PEM form. If it is for one region only, a comment with the region comes before it. */
const CERTIFICATE = /(?:^# (\S+)\n)?(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----)/gm

/**
 * The PEM texts in a file of certificate authorities. Each one makes a connection slower, so of RDS's 90 this
 * takes only those of the region and those without a region. If the file has none for the region, it takes
 * all of them.
 * @throws SlotkeeperError of kind `settings` if the file can't be read or holds no certificate
 */
export function readCertificates(file: string, region?: string): string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new SlotkeeperError(
      'settings',
      `the certificate authorities could not be read: ${messageOf(error)}`,
    )
  }
  const all = [...text.matchAll(CERTIFICATE)].map(([, of, pem = '']) => ({ of, pem }))
  if (all.length === 0)
    throw new SlotkeeperError('settings', `${file} holds no certificate in PEM form`)
  const known = all.some(({ of }) => of !== undefined && of === region)
  return all.filter(({ of }) => !known || of === undefined || of === region).map(({ pem }) => pem)
}
