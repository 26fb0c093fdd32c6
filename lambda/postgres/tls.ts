import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { messageOf, SlotkeeperError } from '../errors.ts'

/**
 * `ca` is PEM text. Without `verifyName` the chain is verified and the host name is not. With
 * `requireBinding` only a login that is tied to the TLS connection will do.
 */
export type Tls =
  | false
  | ({ ca: string[]; verifyName: boolean; requireBinding?: boolean } & Pick<
      ConnectionOptions,
      'cert' | 'key' | 'passphrase' | 'crl' | 'minVersion' | 'maxVersion'
    >)

/** The certificate is held to the host's name, wherever it is reached. */
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

/** A certificate in PEM form, after the name of its region where it is of one region alone. */
const CERTIFICATE = /(?:^# (\S+)\n)?(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----)/gm

/**
 * The PEM texts of a file of certificate authorities. Each costs a connection its time, so of RDS's
 * 90 only those of the region are taken, and those of no region; all of them where the file knows
 * nothing of the region.
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
