import { expect, onTestFinished, test } from 'vitest'
import { type PolicyInput, parsePolicy } from '../../../lambda/core/policy.ts'
import type { Mode, Report } from '../../../lambda/core/report.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { type Fate, startProxy } from '../../../stand-ins/proxy.ts'
import { freeze } from '../../support/process.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'

const db = await testServer({ max_connections: '30' })
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')

const gateOf = (role: typeof reaper) => createGate(async () => db.credentials(role), false)

async function run(gate: Gate, input: PolicyInput, mode: Mode = 'reap') {
  const policy = parsePolicy(input)
  if (!policy.ok) throw new Error(policy.problems.join())
  const { report } = await sweep(
    gate,
    { target: 'test', policy: policy.value, mode },
    deadlineIn(SWEEP_MS),
  )
  return report
}

const idleAtOnce: Exclude<PolicyInput, string> = {
  scope: { users: ['shop_*'] },
  rules: [{ name: 'idle', state: 'idle', olderThan: '0s' }],
}

test('reaps by policy, spares by guard, and reports both', async () => {
  const gate = gateOf(reaper)
  const victim = await db.open(app, 'php')
  const listener = await db.open(app, 'listener', 'listen orders')
  const holder = await db.open(app, 'migration', 'select pg_advisory_lock(1)')
  const backup = await db.open(app, 'pg_dump')
  const busy = await db.open(app, 'busy')
  const query = busy.client.query('select pg_sleep(3600)')
  const canceled = expect(query).rejects.toMatchObject({ code: '57014' })
  await until(async () => (await db.stateOf(busy.pid)) === 'active')

  const report = await run(gate, { ...idleAtOnce, protect: [{ applications: ['pg_dump'] }] })
  expect(report).toMatchObject({
    target: 'test',
    mode: 'reap',
    entry: 'client',
    slots: { max: 30, reserved: 3, used: 7 },
    reaped: [
      { pid: victim.pid, user: 'shop_app', application: 'php', rule: 'idle', action: 'terminate' },
    ],
    spared: { protected: 1, listening: 1, advisoryLock: 1 },
    refused: [],
  })
  await victim.ended
  await db.admin.query('select pg_cancel_backend($1)', [busy.pid])
  await canceled
  for (const spared of [listener, holder, backup, busy]) {
    expect(spared.isAlive()).toBe(true)
    await spared.client.end()
  }
  await gate.close()
})

test('reads the locks only when a verdict depends on them', async () => {
  let asked = 0
  const gate = gateOf(reaper)
  const counting: Gate = {
    ...gate,
    async open(deadline) {
      const link = await gate.open(deadline)
      return {
        ...link,
        query(sql, timeoutMs) {
          asked += 1
          return link.query(sql, timeoutMs)
        },
        run(statements, timeoutMs) {
          asked += 1
          return link.run(statements, timeoutMs)
        },
      }
    },
  }
  const holder = await db.open(app, 'migration', 'select pg_advisory_lock(2)')
  const rule = { name: 'old', state: 'idle', olderThan: '1h' } as const
  await run(counting, { ...idleAtOnce, rules: [rule] })
  expect(asked).toBe(1)
  const report = await run(counting, idleAtOnce, 'observe')
  expect(report).toMatchObject({ reaped: [], wouldReap: [], spared: { advisoryLock: 1 } })
  expect(asked).toBe(1 + 2)
  await holder.client.end()
  await gate.close()
})

test('mode observe reaps no session', async () => {
  const gate = gateOf(reaper)
  const victim = await db.open(app, 'php')
  const report = await run(gate, idleAtOnce, 'observe')
  expect(report.reaped).toEqual([])
  expect(report.wouldReap.map(({ pid }) => pid)).toEqual([victim.pid])
  expect(report.rules[0]).toEqual({ name: 'idle', matched: 1, due: true, reaped: 0 })
  expect(await db.stateOf(victim.pid)).toBe('idle')
  await victim.client.end()
  await gate.close()
})

test('reports a role that may not signal before any session is due', async () => {
  const weak = gateOf(await db.role('weak', ['pg_monitor']))
  const victim = await db.open(app, 'php')
  for (const mode of ['observe', 'reap'] as const) {
    const report = await run(weak, idleAtOnce, mode)
    expect(report).toMatchObject({ cannotSignal: true, reaped: [] })
    expect(report.refused).toHaveLength(mode === 'reap' ? 1 : 0)
  }
  const strong = gateOf(reaper)
  expect(await run(strong, idleAtOnce, 'observe')).toMatchObject({ cannotSignal: false })
  await victim.client.end()
  await weak.close()
  await strong.close()
})

test('a member of the role of the sessions may signal them, and gets no warning', async () => {
  const related = gateOf(await db.role('related', ['pg_monitor', app.user]))
  const stranger = await db.role('stranger')
  const victim = await db.open(app, 'php')
  expect(await run(related, idleAtOnce, 'observe')).toMatchObject({ cannotSignal: false })
  const other = await db.open(stranger, 'php')
  const everybody = { ...idleAtOnce, scope: {} }
  expect(await run(related, everybody, 'observe')).toMatchObject({ cannotSignal: true })
  expect(await run(related, idleAtOnce, 'reap')).toMatchObject({
    reaped: [{ pid: victim.pid }],
    refused: [],
  })
  await other.client.end()
  await related.close()
})

test('reports the sessions in scope and the entries without a match', async () => {
  const gate = gateOf(reaper)
  const sessions = await Promise.all(['php', 'pg_dump'].map((name) => db.open(app, name)))
  const report = await run(gate, {
    scope: { users: ['shop_*', 'shopp_*'] },
    protect: [{ applications: ['pg_dump'] }, { users: ['dba'] }],
    rules: [
      { name: 'now', state: 'idle', olderThan: '0s' },
      { name: 'full', state: 'idle', olderThan: '0s', when: { slotsUsedOver: '100%' } },
    ],
  })
  expect(report).toMatchObject({
    inScope: 2,
    unmatched: ['scope.users[1]', 'protect[1]'],
    rules: [
      { name: 'now', matched: 2, due: true, reaped: 1 },
      { name: 'full', matched: 2, due: false, reaped: 0 },
      { name: 'slotkeeper:orphan', matched: 0, due: true, reaped: 0 },
    ],
  })
  await sessions[0]?.ended
  await sessions[1]?.client.end()
  await gate.close()
})

test('reuses its connection, and connects again after it was cut', async () => {
  const gate = gateOf(reaper)
  expect((await run(gate, idleAtOnce)).entry).toBe('client')
  expect((await run(gate, idleAtOnce)).entry).toBe('warm')
  await db.admin.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'slotkeeper'",
  )
  expect((await run(gate, idleAtOnce)).entry).toBe('client')
  await gate.close()
})

test('connects again when the kept connection died without notice', async () => {
  const gate = gateOf(reaper)
  await run(gate, idleAtOnce)
  const { rows } = await db.admin.query(
    "select pid from pg_stat_activity where application_name = 'slotkeeper'",
  )
  try {
    await freeze(rows[0].pid)
    const report = await run(gate, idleAtOnce)
    expect(report.entry).toBe('client')
  } finally {
    process.kill(rows[0].pid, 'SIGCONT')
  }
  await gate.close()
})

test('never reaps its own kept session or that of another run', async () => {
  const [one, two] = [gateOf(reaper), gateOf(reaper)]
  const everyone: PolicyInput = { ...idleAtOnce, scope: {} }
  await run(one, everyone)
  expect((await run(two, everyone)).reaped).toEqual([])
  for (const gate of [one, two]) {
    expect(await run(gate, everyone)).toMatchObject({ entry: 'warm', reaped: [] })
  }
  await one.close()
  await two.close()
})

test('of two concurrent sweeps of one target, one reports each session as reaped and the other as gone', async () => {
  const victims = await Promise.all(Array.from({ length: 8 }, () => db.open(app, 'php')))
  const pids = victims.map(({ pid }) => pid).sort()
  const network = await startProxy(db.server)
  onTestFinished(() => network.close())
  const late = createGate(async () => ({ ...db.credentials(reaper), port: network.port }), false)
  const early = gateOf(reaper)
  // Both have looked before either signals.
  let first: Report | undefined
  network.judge = async (chunk): Promise<Fate> => {
    if (chunk.includes('slotkeeper.outcomes')) first ??= await run(early, idleAtOnce)
    return 'pass'
  }
  const second = await run(late, idleAtOnce)
  expect(first?.reaped.map(({ pid }) => pid).sort()).toEqual(pids)
  expect(second).toMatchObject({ reaped: [], refused: [], spared: { gone: 8, changed: 0 } })
  await Promise.all(victims.map(({ ended }) => ended))
  for (const gate of [early, late]) await gate.close()
})

test('a failed sweep leaves no session on the server', async () => {
  const blind = await db.role('blind')
  const gate = gateOf(blind)
  await expect(run(gate, idleAtOnce)).rejects.toMatchObject({ kind: 'blind' })
  await until(async () => {
    const { rows } = await db.admin.query("select 1 from pg_stat_activity where usename = 'blind'")
    return rows.length === 0
  })
  await gate.close()
  expect(gate.takeWarm()).toBeUndefined()
})
