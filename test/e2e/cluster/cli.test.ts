import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import type { ClusterReport } from '../../../lambda/core/cluster-report.ts'
import { CLUSTER, hostOf, testAurora } from '../../support/aurora.ts'
import { slotkeeper } from '../../support/command.ts'
import { REAPER_ROLES } from '../../support/server.ts'

const aurora = await testAurora(['shop-1', 'shop-2', 'shop-3'])
const reaper = await aurora.role('reaper', REAPER_ROLES)
const app = await aurora.role('shop_app')
const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-cli-cluster-'))
afterAll(() => rmSync(folder, { recursive: true }))
const atOnce = join(folder, 'policy.json')
writeFileSync(
  atOnce,
  JSON.stringify({
    scope: { users: ['shop_*'] },
    rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
  }),
)

const urlOf = (host: string, parameters = '') =>
  `postgres://reaper:${encodeURIComponent(reaper.password)}@${host}:${aurora.port}/postgres?sslrootcert=${aurora.authority.file}${parameters}`
const url = urlOf(CLUSTER)
const sweep = (...args: string[]) =>
  slotkeeper(['sweep', '--cluster', '--url', url, '--policy', atOnce, ...args], aurora.network())

beforeEach(() => {
  aurora.say('shop-1', 'shop-2', 'shop-3')
  for (const { id } of aurora.instances) aurora.lead(hostOf(id), id)
})
afterEach(() => {
  for (const instance of aurora.instances) instance.recover()
})

test('shows the instances side by side, and ends nothing without --reap', async () => {
  const victims = await Promise.all([
    ...aurora.instances.map(({ db }) => db.open(app, 'php')),
    aurora.of('shop-3').db.open(app, 'php'),
  ])
  const { code, out, err } = await sweep()
  expect({ code, err }).toEqual({ code: 0, err: '' })
  const [headline] = out.split('\n')
  expect(headline).toMatch(/^observe, policy .+: would reap 4 of \d+ sessions$/)
  expect(out).toContain(`${CLUSTER}:${aurora.port}, 3 instances, `)
  expect(out).toMatch(
    /^instance +role +used % +slots used +active +idle +in transaction +would reap +refused +ms$/m,
  )
  expect(out).toMatch(/^shop-1 +writer +[\d.]+ +\d+ of 97 +1 +\d+ +0 +1 +0 +\d+$/m)
  expect(out).toMatch(/^shop-3 +reader +[\d.]+ +\d+ of 97 +1 +\d+ +0 +2 +0 +\d+$/m)
  expect(out).toMatch(/^ +2 +shop-3 +now +shop_app@postgres +php /m)
  expect(victims.every((victim) => victim.isAlive())).toBe(true)

  const reaped = await sweep('--reap')
  expect(reaped).toMatchObject({ code: 0, err: '' })
  expect(reaped.out).toMatch(/^reap, policy .+: reaped 4 of \d+ sessions$/m)
  await Promise.all(victims.map(({ ended }) => ended))
})

test('prints what the function returns, and each instance in full', async () => {
  const { code, out } = await sweep('--json')
  expect(code).toBe(0)
  const report = JSON.parse(out) as ClusterReport
  expect(Object.keys(report)).toEqual(['target', 'mode', 'at', 'durationMs', 'instances'])
  expect(report.instances.map(({ target }) => target)).toEqual([
    `${CLUSTER}:${aurora.port}/shop-1`,
    `${CLUSTER}:${aurora.port}/shop-2`,
    `${CLUSTER}:${aurora.port}/shop-3`,
  ])
  const full = await sweep('--all')
  for (const { id } of aurora.instances) {
    expect(full.out).toContain(`${CLUSTER}:${aurora.port}/${id}, PostgreSQL`)
  }
})

test('an instance that can not be reached is shown with its error', async () => {
  aurora.lead(hostOf('shop-2'), undefined)
  const { code, out } = await sweep()
  expect(code).toBe(1)
  expect(out).toMatch(/^shop-2 +reader +- +- +- +- +- +- +- +\d+$/m)
  expect(out).toContain(`shop-2: unreachable: no connection with ${hostOf('shop-2')}`)
  expect(out).toMatch(/^shop-3 +reader +[\d.]+ /m)
  const json = JSON.parse((await sweep('--json')).out) as ClusterReport
  expect(json.instances[1]).toMatchObject({ error: { kind: 'unreachable' } })
})

test.each([
  ['an address', urlOf('127.0.0.11'), 'an address does not tell'],
  ['an instance', urlOf(hostOf('shop-1')), 'the endpoint of one instance'],
  ['a tunnel', urlOf(CLUSTER, '&hostaddr=127.0.0.1'), 'hostaddr leads every name to one address'],
])('refuses %s', async (_, at, said) => {
  const { code, err } = await slotkeeper(['sweep', '--cluster', '--url', at], aurora.network())
  expect(code).toBe(2)
  expect(err).toContain(said)
  expect(err).not.toContain(reaper.password)
})

test('fails with the code of the failure if no instance is reached', async () => {
  aurora.lead(CLUSTER, undefined)
  const { code, out, err } = await sweep('--json')
  aurora.lead(CLUSTER, 'shop-1')
  expect(code).toBe(3)
  expect(JSON.parse(out)).toMatchObject({ error: { kind: 'unreachable' } })
  expect(err).toContain(`the instances of the cluster ${CLUSTER} are not known`)
})
