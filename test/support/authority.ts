import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

const NOBODY = 65534

/** A certificate and its key, as files that a server can read. */
export type Certificate = { cert: string; key: string }

/** A certificate authority of a test's own. */
export function testAuthority() {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-authority-'))
  chmodSync(folder, 0o755)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args.join(' ').split(' '), { cwd: folder, stdio: 'pipe' })
  const EC = 'ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
  openssl(
    `req -x509 -newkey ${EC} -days 2 -subj /CN=authority -keyout authority.key -out authority.pem`,
  )
  return {
    /** The file with its certificate. */
    file: join(folder, 'authority.pem'),
    pem: () => readFileSync(join(folder, 'authority.pem'), 'utf8'),

    /** A certificate for a server with these names. */
    certify(file: string, names: string[]): Certificate {
      const all = names.map((name) => `DNS:${name}`).join(',')
      openssl(
        `req -newkey ${EC} -subj /CN=${file} -addext subjectAltName=${all}`,
        `-addext extendedKeyUsage=serverAuth -keyout ${file}.key -out ${file}.csr`,
      )
      openssl(
        `x509 -req -in ${file}.csr -CA authority.pem -CAkey authority.key -copy_extensions copyall`,
        `-days 2 -out ${file}.pem`,
      )
      const key = join(folder, `${file}.key`)
      chmodSync(key, 0o600)
      if (process.getuid?.() === 0) chownSync(key, NOBODY, NOBODY)
      return { cert: join(folder, `${file}.pem`), key }
    },
  }
}
