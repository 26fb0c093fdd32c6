import { once } from 'node:events'
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createSecureContext, TLSSocket } from 'node:tls'
import { Client } from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { connect } from '../../../lambda/postgres/connect.ts'
import { until } from '../../support/server.ts'
import {
  byName,
  data,
  db,
  dial,
  folder,
  openssl,
  read,
  SOON_MS,
  show,
  shown,
  verifyFull,
} from '../../support/tls-server.ts'

test('refuses a server without TLS', async () => {
  await expect(connect(byName, verifyFull, 'client', SOON_MS)).rejects.toMatchObject({
    kind: 'tls',
    message: expect.stringMatching(
      /^localhost:\d+ offers no TLS: .*does not support SSL.* host name and the port .*ssl = on/,
    ),
  })
})

describe('a certificate for the host name by a trusted authority', () => {
  test.each(['rsa-sha256', 'rsa-sha384', 'ecdsa-sha384', 'by-a-middle'])(
    '%s is accepted',
    async (name) => {
      await show(name)
      const link = await connect(byName, verifyFull, 'client', SOON_MS)
      const [[row]] = (await link.query(
        'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
        SOON_MS,
      )) as [[object]]
      expect(row).toEqual({ ssl: true })
      await link.close()
    },
  )

  test('does not cover an address', async () => {
    await show('rsa-sha256')
    const byAddress = { ...byName, host: '127.0.0.1' }
    await expect(connect(byAddress, verifyFull, 'client', SOON_MS)).rejects.toMatchObject({
      kind: 'tls',
      message: expect.stringMatching(
        /is for another host name.*on RDS the endpoint.*hostaddr=127\.0\.0\.1.*sslmode=verify-ca/,
      ),
    })
  })

  test('is verified against the host name, not the address, as through a tunnel', async () => {
    await show('of-another-host')
    const tunnel = { ...byName, host: 'other.example', address: '127.0.0.1' }
    const link = await connect(tunnel, verifyFull, 'client', SOON_MS)
    expect(link.alive()).toBe(true)
    await link.close()
    const elsewhere = { ...tunnel, host: 'third.example' }
    await expect(connect(elsewhere, verifyFull, 'client', SOON_MS)).rejects.toMatchObject({
      kind: 'tls',
      message: expect.stringContaining('is for another host name'),
    })
  })
})

describe('any other certificate is refused with the reason and the fix', () => {
  test.each([
    ['of-another-host', /is for another host name: .*other\.example.* Connect by a name/],
    ['expired', /has expired.*\(CERT_HAS_EXPIRED\).* Install a new one/],
    ['self-signed', /is self-signed.*SLOTKEEPER_CA_FILE.*RDS never/],
    ['of-a-stranger', /an authority that is not trusted.*SLOTKEEPER_CA_FILE.*check the host/],
    ['of-a-stranger-shown', /an authority that is not trusted.*SLOTKEEPER_CA_FILE.*check the host/],
    ['of-a-stranger-by-a-middle', /an authority that is not trusted.*\(UNABLE_TO_GET_ISSUER_CERT/],
    ['for-clients', /is not meant for servers.*serverAuth/],
  ])('%s', async (name, message) => {
    await show(name)
    await expect(connect(byName, verifyFull, 'client', SOON_MS)).rejects.toMatchObject({
      kind: 'tls',
      message: expect.stringMatching(message),
    })
  })
})

describe('without verification of the name (verify-ca)', () => {
  const verifyCa = { ...verifyFull, verifyName: false }

  test.each(['localhost', '127.0.0.1'])(
    'a certificate for another name is accepted: %s',
    async (host) => {
      await show('of-another-host')
      const link = await connect({ ...byName, host }, verifyCa, 'client', SOON_MS)
      expect(link.alive()).toBe(true)
      await link.close()
    },
  )

  test.each(['expired', 'self-signed', 'of-a-stranger'])('%s is still refused', async (name) => {
    await show(name)
    await expect(connect(byName, verifyCa, 'client', SOON_MS)).rejects.toMatchObject({
      kind: 'tls',
    })
  })
})

describe('the login', () => {
  beforeAll(() => show('rsa-sha256'))

  /** Stands in between with a trusted certificate for the name, and passes on what the two say. */
  async function startRelay(edit: (said: string) => string) {
    const secureContext = createSecureContext({
      key: read('rsa-sha384.key'),
      cert: read('rsa-sha384.pem'),
    })
    const relay = createServer(async (socket) => {
      await once(socket, 'data')
      socket.write('S')
      const near = new TLSSocket(socket, { isServer: true, secureContext })
      const far = await dial()
      const edited = async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks)
          yield Buffer.from(edit(chunk.toString('latin1')), 'latin1')
      }
      // Either side hangs up as it likes.
      await pipeline(near, far, edited, near).catch(() => undefined)
    }).listen(0, '127.0.0.1')
    await once(relay, 'listening')
    return { port: (relay.address() as { port: number }).port, close: () => relay.close() }
  }

  test.each([
    ['as it is', (said: string) => said],
    [
      'with the offer to bind it struck out',
      (said: string) => said.replace('256-PLUS', '256-NONE'),
    ],
  ])('is refused through a relay with a trusted certificate, %s', async (_, edit) => {
    const relay = await startRelay(edit)
    const credentials = { ...byName, port: relay.port }
    // What is refused is not the relay as such: who does not bind the login gets through it.
    const unbound = new Client({ ...credentials, ssl: { ca: verifyFull.ca } })
    await unbound.connect()
    await unbound.end()
    await expect(connect(credentials, verifyFull, 'client', SOON_MS)).rejects.toMatchObject({
      kind: 'tls',
      message: expect.stringMatching(
        /TLS connection that it sees is not the one opened here.*server's own endpoint/,
      ),
    })
    relay.close()
  })

  test('uses channel binding when required, and fails when the server has none', async () => {
    const demanding = { ...verifyFull, requireBinding: true }
    const link = await connect(byName, demanding, 'client', SOON_MS)
    expect(link.alive()).toBe(true)
    await link.close()
    const trusted = await db.role('trusted')
    const rules = join(data, 'pg_hba.conf')
    writeFileSync(rules, `hostssl all trusted all trust\n${readFileSync(rules, 'utf8')}`)
    await db.admin.query('select pg_reload_conf()')
    await until(() =>
      connect({ ...byName, ...trusted }, verifyFull, 'client', SOON_MS).then(
        (link) => link.close().then(() => true),
        () => false,
      ),
    )
    await expect(
      connect({ ...byName, ...trusted }, demanding, 'client', SOON_MS),
    ).rejects.toMatchObject({
      kind: 'authentication',
      message: expect.stringContaining('has no channel binding'),
    })
  })

  test('with a wrong password reports the password, not the relay', async () => {
    const credentials = { ...byName, password: 'wrong' }
    await expect(connect(credentials, verifyFull, 'client', SOON_MS)).rejects.toMatchObject({
      kind: 'authentication',
    })
  })

  test('by a method without channel binding, as with IAM tokens, succeeds', async () => {
    // SCRAM has no use for a password that is kept as MD5: the rule below alone lets it in.
    await db.admin.query("set password_encryption = 'md5'")
    const byToken = await db.role('by_token')
    await db.admin.query('reset password_encryption')
    const rules = join(data, 'pg_hba.conf')
    writeFileSync(rules, `hostssl all by_token all password\n${readFileSync(rules, 'utf8')}`)
    await show('rsa-sha384')
    const link = await connect({ ...byName, ...byToken }, verifyFull, 'client', SOON_MS)
    expect(link.alive()).toBe(true)
    await link.close()
  })
})

describe('a client certificate', () => {
  beforeAll(async () => {
    copyFileSync(join(folder, 'ours-rsa.pem'), join(data, 'clients.pem'))
    chmodSync(join(data, 'clients.pem'), 0o644)
    await db.admin.query("alter system set ssl_ca_file = 'clients.pem'")
    await show('rsa-sha256')
    await db.role('certified')
    const rules = join(data, 'pg_hba.conf')
    writeFileSync(
      rules,
      `hostssl all certified all scram-sha-256 clientcert=verify-ca\n${readFileSync(rules, 'utf8')}`,
    )
    await db.admin.query('select pg_reload_conf()')
  })

  const certified = { ...byName, user: 'certified', password: 'secret of certified' }
  const shown = (name: string) => ({
    ...verifyFull,
    cert: read(`${name}.pem`),
    key: read(`${name}.key`),
  })

  test('that is required but missing is reported', async () => {
    await until(() =>
      connect(certified, verifyFull, 'client', SOON_MS).then(
        (link) => link.close().then(() => false),
        () => true,
      ),
    )
    await expect(connect(certified, verifyFull, 'client', SOON_MS)).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringContaining('give sslcert and sslkey'),
    })
  })

  test('that is valid is accepted', async () => {
    const link = await connect(certified, shown('for-clients'), 'client', SOON_MS)
    expect(link.alive()).toBe(true)
    await link.close()
  })

  test('by an authority that the server does not trust is reported', async () => {
    await expect(
      connect(certified, shown('of-a-stranger'), 'client', SOON_MS),
    ).rejects.toMatchObject({
      kind: 'tls',
      message: expect.stringMatching(/does not accept the client certificate.*ssl_ca_file/),
    })
  })
})

test('a revoked certificate is refused', async () => {
  await show('rsa-sha256')
  writeFileSync(
    join(folder, 'revoked.cnf'),
    '[ca]\ndefault_ca=d\n[d]\ndatabase=revoked.txt\ndefault_md=sha256\ndefault_crl_days=2\n',
  )
  writeFileSync(join(folder, 'revoked.txt'), '')
  const ca = '-config revoked.cnf -cert ours-rsa.pem -keyfile ours-rsa.key'
  openssl(`ca ${ca} -gencrl -out none.crl`)
  openssl(`ca ${ca} -revoke rsa-sha256.pem`)
  openssl(`ca ${ca} -gencrl -out revoked.crl`)
  const link = await connect(byName, { ...verifyFull, crl: read('none.crl') }, 'client', SOON_MS)
  await link.close()
  await expect(
    connect(byName, { ...verifyFull, crl: read('revoked.crl') }, 'client', SOON_MS),
  ).rejects.toMatchObject({
    kind: 'tls',
    message: expect.stringMatching(/was revoked.*\(CERT_REVOKED\)/),
  })
})

test('a server with outdated TLS versions only is refused', async () => {
  await db.admin.query("alter system set ssl_min_protocol_version = 'TLSv1'")
  await db.admin.query("alter system set ssl_max_protocol_version = 'TLSv1.1'")
  await db.admin.query('select pg_reload_conf()')
  await until(async () => (await shown()) === undefined)
  await expect(connect(byName, verifyFull, 'client', SOON_MS)).rejects.toMatchObject({
    kind: 'tls',
    message: expect.stringMatching(/^TLS with localhost:\d+ failed .*ssl_max_protocol_version/),
  })
})
