import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TLSSocket, connect as upgrade } from 'node:tls'
import { afterAll } from 'vitest'
import { REAPER_ROLES, testServer, until } from './server.ts'

export const SOON_MS = 10_000
const NOBODY = 65534
/** What a client that wants TLS sends first; the server answers `S` or `N`. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

export const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
export const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-tls-'))
afterAll(() => rmSync(folder, { recursive: true }))

export const read = (file: string) => readFileSync(join(folder, file), 'utf8')

export function openssl(...args: string[]): void {
  execFileSync('openssl', args.join(' ').split(' '), { cwd: folder, stdio: 'pipe' })
}

const RSA = 'rsa:2048'
const EC = 'ec -pkeyopt ec_paramgen_curve:P-256'
const FOR_SERVERS = 'extendedKeyUsage=serverAuth'
const FOR_CLIENTS = 'extendedKeyUsage=clientAuth'
const FOR_AUTHORITIES = 'basicConstraints=critical,CA:TRUE'

function selfSigned(name: string, { host = name, key = EC } = {}): void {
  openssl(
    `req -x509 -newkey ${key} -nodes -days 2 -subj /CN=${host}`,
    `-addext subjectAltName=DNS:${host} -keyout ${name}.key -out ${name}.pem`,
  )
}

export function signed(
  name: string,
  {
    by = 'ours-rsa',
    host = 'localhost',
    key = EC,
    hash = 'sha256',
    days = 2,
    use = FOR_SERVERS,
  } = {},
): void {
  openssl(
    `req -newkey ${key} -nodes -subj /CN=${host} -addext subjectAltName=DNS:${host}`,
    `-addext ${use} -keyout ${name}.key -out ${name}.csr`,
  )
  openssl(
    `x509 -req -in ${name}.csr -CA ${by}.pem -CAkey ${by}.key -copy_extensions copyall`,
    `-${hash} -days ${days} -out ${name}.pem`,
  )
}

/** The server shows its own certificate and after it, of the same file, what leads to the authority. */
function append(name: string, authority: string): void {
  appendFileSync(join(folder, `${name}.pem`), read(`${authority}.pem`))
}

selfSigned('ours-rsa', { key: RSA })
selfSigned('ours-ec')
selfSigned('a-stranger')
for (const authority of ['ours-rsa', 'a-stranger']) {
  const middle = `below-${authority}`
  signed(middle, { by: authority, host: middle, use: FOR_AUTHORITIES })
}
signed('rsa-sha256', { key: RSA })
signed('rsa-sha384', { key: RSA, hash: 'sha384' })
signed('ecdsa-sha384', { by: 'ours-ec', hash: 'sha384' })
signed('by-a-middle', { by: 'below-ours-rsa' })
append('by-a-middle', 'below-ours-rsa')
signed('of-another-host', { host: 'other.example' })
// A day that is over.
signed('expired', { days: -1 })
selfSigned('self-signed', { host: 'localhost' })
signed('of-a-stranger', { by: 'a-stranger' })
signed('of-a-stranger-shown', { by: 'a-stranger' })
append('of-a-stranger-shown', 'a-stranger')
signed('of-a-stranger-by-a-middle', { by: 'below-a-stranger' })
append('of-a-stranger-by-a-middle', 'below-a-stranger')
signed('for-clients', { use: FOR_CLIENTS })

export const data: string = (await db.admin.query('show data_directory')).rows[0].data_directory
export const byName = { ...db.credentials(reaper), host: 'localhost' }
export const verifyFull = { ca: [read('ours-rsa.pem'), read('ours-ec.pem')], verifyName: true }

/** Has the server show another certificate, and waits until it does. */
export async function show(name: string): Promise<void> {
  for (const file of [`${name}.key`, `${name}.pem`]) {
    copyFileSync(join(folder, file), join(data, file))
    chmodSync(join(data, file), 0o600)
    if (process.getuid?.() === 0) chownSync(join(data, file), NOBODY, NOBODY)
  }
  await db.admin.query(`alter system set ssl_cert_file = '${name}.pem'`)
  await db.admin.query(`alter system set ssl_key_file = '${name}.key'`)
  await db.admin.query('alter system set ssl = on')
  await db.admin.query('select pg_reload_conf()')
  const { fingerprint256 } = new X509Certificate(read(`${name}.pem`))
  await until(async () => (await shown()) === fingerprint256)
}

export async function shown(): Promise<string | undefined> {
  const socket = await dial().catch(() => undefined)
  const certificate = socket?.getPeerCertificate()
  socket?.destroy()
  return certificate?.fingerprint256
}

/** A TLS connection to the server that asks for no proof. */
export async function dial(): Promise<TLSSocket> {
  const socket = createConnection(db.server.port, db.server.host)
  socket.write(SSL_REQUEST)
  await once(socket, 'data')
  const secure = upgrade({ socket, rejectUnauthorized: false })
  await once(secure, 'secureConnect')
  return secure
}
