import { expect, test } from 'vitest'
import type { Report } from '../../lambda/core/report.ts'
import { app, atOnce, db, file, slotkeeper, url } from '../support/cli.ts'
import { until } from '../support/server.ts'

test('sweep only observes by default, and reaps with --reap and a policy', async () => {
  const victims = await Promise.all(Array.from({ length: 20 }, () => db.open(app, 'php')))
  const busy = await db.open(app, 'busy')
  const query = busy.client.query('select pg_sleep(3600)')
  const canceled = expect(query).rejects.toMatchObject({ code: '57014' })
  await until(async () => (await db.stateOf(busy.pid)) === 'active')

  const looked = await slotkeeper(['sweep', '--json', '--url', url])
  expect(looked).toMatchObject({ code: 0, err: '' })
  const report = JSON.parse(looked.out) as Report
  expect(Object.keys(report)).toEqual(
    'target mode at durationMs entry server slots sessions inScope rules unmatched cannotSignal reaped wouldReap spared refused'.split(
      ' ',
    ),
  )
  expect(report).toMatchObject({ mode: 'observe', sessions: { idle: 21 } })
  // The policy of the incident: all idle sessions, once they are more than five.
  expect(report).toMatchObject({ reaped: [], cannotSignal: false, unmatched: [] })
  expect(report.wouldReap).toHaveLength(20)
  expect(report.rules).toContainEqual({ name: 'crowd', matched: 21, due: true, reaped: 0 })

  for (const asked of [['--observe'], ['--policy', 'incident'], []]) {
    const shown = await slotkeeper(['sweep', ...asked, '--url', url])
    expect(shown).toMatchObject({ code: 0, err: '' })
    const [headline, hasty] = shown.out.split('\n')
    const given = asked.includes('incident') ? '' : ', as no policy was given'
    expect(headline).toBe(`observe, policy "incident"${given}: would reap 20 of 23 sessions`)
    expect(hasty).toBe('Rule "crowd" (0s) also ends sessions that have just been used.')
    expect(shown.out).toContain('No session was ended.')
  }
  expect(victims.every((victim) => victim.isAlive())).toBe(true)

  const swept = await slotkeeper(['sweep', '--reap', '--policy', 'incident', '--url', url])
  expect(swept).toMatchObject({ code: 0, err: '' })
  expect(swept.out).toContain('reap, policy "incident": reaped 20 of 23 sessions')
  expect(swept.out).toMatch(/^ +20 {2}crowd .* shop_app@postgres {2}php /m)
  await Promise.all(victims.map(({ ended }) => ended))
  await db.admin.query('select pg_cancel_backend($1)', [busy.pid])
  await canceled
  expect(busy.isAlive()).toBe(true)
})

test('names that contain SQL or terminal escapes are printed escaped', async () => {
  const evil = "shop_\u001b[31m'); drop table t; --\u202e"
  const role = await db.role(evil)
  const victim = await db.open(role, '\u001b]0;title\u0007; drop table t')
  const shown = await slotkeeper(['sweep', '--url', url, '--policy', atOnce, '--observe'])
  expect(shown.out).toContain("shop_\\u001b[31m'); drop table t; --\\u202e")
  for (const raw of ['\u0007', '\u001b', '\u202e']) expect(shown.out).not.toContain(raw)
  const json = await slotkeeper(['sweep', '--url', url, '--policy', atOnce, '--reap', '--json'])
  expect(json.out).not.toContain('\u202e')
  expect((JSON.parse(json.out) as Report).reaped[0]?.user).toBe(evil)
  await victim.ended
})

test('a refused reap exits 1 and shows the missing GRANT', async () => {
  const powerless = await db.role('powerless', ['pg_monitor'])
  const victim = await db.open(app, 'php')
  const sweep = ['sweep', '--url', db.server.url(powerless), '--policy', atOnce]
  const answer = await slotkeeper([...sweep, '--reap'])
  expect(answer.code).toBe(1)
  expect(answer.out).toMatch(/^ +1 {2}42501 +shop_app@postgres +php /m)
  const grant = 'GRANT pg_signal_backend TO "powerless";'
  expect(answer.out).toContain(grant)
  // And a look says so before anybody is to be ended.
  const looked = await slotkeeper(sweep)
  expect(looked.code).toBe(0)
  expect(looked.out).toContain('would try to reap 1 of')
  expect(looked.out).toContain(grant)
  expect(victim.isAlive()).toBe(true)
  await victim.client.end()
})

test('a role that sees no sessions exits 1', async () => {
  const blind = await db.role('blind')
  const answer = await slotkeeper(['sweep', '--url', db.server.url(blind)])
  expect(answer).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringContaining('GRANT pg_monitor'),
  })
})

test('the output starts with the slot holders, idle transactions and the sessions they block', async () => {
  await db.admin.query('create table orders (n int)')
  await db.admin.query('insert into orders values (1)')
  await db.admin.query('grant all on orders to shop_app')
  const web = await Promise.all(Array.from({ length: 12 }, () => db.open(app, 'web')))
  const cart = await db.open(app, 'cart', 'begin', 'update orders set n = 2')
  const blocked = await Promise.all([1, 2].map(() => db.open(app, 'checkout')))
  const updates = blocked.map(({ client }) => client.query('update orders set n = 3'))
  await until(async () => {
    const { rows } = await db.admin.query('select 1 from pg_locks where not granted')
    return rows.length >= 2
  })

  const sweep = ['sweep', '--url', url, '--policy', atOnce]
  const { out } = await slotkeeper(sweep)
  expect(out).toMatch(/^ +12 +12 .* shop_app@postgres +web +127/m)
  expect(out).toMatch(new RegExp(`^ *${cart.pid} .* 2  shop_app@postgres  cart`, 'm'))
  expect(out).toContain(`${cart.pid} blocks 2 of shop_app@postgres checkout 127.0.0.1`)
  for (const { pid } of blocked) expect(out).toMatch(new RegExp(`blocks 2 .*\\b${pid}\\b`))
  expect(out).toContain('This policy has no rule for sessions that are idle in a transaction.')
  const order = ['observe, policy', 'What holds', 'Idle in a transaction', 'Rules', 'Would reap 12']
  const places = order.map((words) => out.indexOf(words))
  expect(places).toEqual([...places].sort((a, b) => a - b))
  expect(places).not.toContain(-1)
  expect(out).not.toContain(String(web[0]?.pid))
  expect(out).not.toContain('update orders')

  await db.admin.query('revoke execute on function pg_blocking_pids(int) from public')
  const less = await slotkeeper(sweep)
  expect(less).toMatchObject({ code: 0, err: '' })
  expect(less.out).toMatch(new RegExp(`^ *${cart.pid} .* \\?  shop_app@postgres  cart`, 'm'))
  expect(less.out).toMatch(/^Could not read which sessions they block: .*pg_blocking_pids/m)
  await db.admin.query('grant execute on function pg_blocking_pids(int) to public')

  const all = (await slotkeeper([...sweep, '--all'])).out
  for (const { pid } of web) expect(all).toMatch(new RegExp(`^ *${pid} .*now`, 'm'))
  await cart.client.query('rollback')
  await Promise.all(updates)
  await Promise.all([...web, cart, ...blocked].map(({ client }) => client.end()))
})

test('warns when the scope matches no session, and names each entry without a match', async () => {
  const nobody = file(
    'nobody.json',
    JSON.stringify({
      scope: { users: ['shopp_*'] },
      protect: [{ applications: ['pg_dump'] }],
      rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
    }),
  )
  const { code, out } = await slotkeeper(['sweep', '--url', url, '--policy', nobody])
  expect(code).toBe(0)
  expect(out).toMatch(
    /^WARNING: none of the \d+ sessions is in the scope .*scope\.users\[0\] \("shopp_\*"\)$/m,
  )
  expect(out).toContain('No session matches protect[0] ({"applications":["pg_dump"]}).')
  expect(out).toContain('Would reap no session.')
})
