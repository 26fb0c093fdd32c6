import { afterAll, describe, expect, test } from 'vitest'
import { stubborn } from '../../../lambda/core/churn.ts'
import type { Link } from '../../../lambda/postgres/connect.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { createTarget } from '../../../lambda/target.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')
await db.trust(app)
const idleAtOnce = policy({
  scope: { users: ['shop_*', 'nobody'] },
  rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
})
const target = createTarget(
  'shop',
  idleAtOnce,
  createGate(async () => db.credentials(reaper), false),
)
afterAll(() => target.close())
const run = (mode: 'reap' | 'observe') => target.sweep(mode, deadlineIn(SWEEP_MS))

test('spares a listener that only the failed sweep before saw', async () => {
  const listener = await db.open(app, 'listener', 'listen jobs')
  await db.open(app, 'idle')
  // Looks, and fails before it ends any session.
  await db.admin.query('revoke usage on language plpgsql from public')
  await expect(run('reap')).rejects.toMatchObject({ kind: 'rights' })
  await db.admin.query('grant usage on language plpgsql to public')
  await listener.client.query('select 1')
  await db.settled(listener.pid)
  const { report } = await run('reap')
  expect(report).toMatchObject({ reaped: [{ application: 'idle' }], spared: { listening: 1 } })
})

test('counts only new sessions, and names an entry without a match once', async () => {
  await db.open(app, 'idle')
  const first = await run('observe')
  expect(first).toMatchObject({ newlyCondemned: 1, wouldRefuse: 0 })
  await db.open(app, 'another')
  const second = await run('observe')
  expect(second).toMatchObject({ newlyCondemned: 1, newlyUnmatched: [] })
  expect(second.report.unmatched).toEqual(['scope.users[1]'])
})

test('counts the reaps that the server would refuse, and not those of roles that it is a member of', async () => {
  const jobs = await db.role('shop_jobs')
  const member = await db.role('member', ['pg_monitor', jobs.user])
  await db.open(jobs, 'within reach')
  await db.open(app, 'out of reach')
  const only = policy({
    scope: { applications: ['*reach'] },
    rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
  })
  const limited = createTarget(
    'shop',
    only,
    createGate(async () => db.credentials(member), false),
  )
  const observed = await limited.sweep('observe', deadlineIn(SWEEP_MS))
  expect(observed).toMatchObject({ newlyCondemned: 2, wouldRefuse: 1 })
  const { report, wouldRefuse } = await limited.sweep('reap', deadlineIn(SWEEP_MS))
  await limited.close()
  expect(wouldRefuse).toBe(0)
  expect(report).toMatchObject({
    reaped: [{ application: 'within reach' }],
    refused: [{ sqlstate: '42501' }],
  })
})

test('does not count a pool as back if its queries were cancelled and its sessions live', async () => {
  const cancelling = policy({
    scope: { users: [app.user] },
    rules: [{ name: 'slow', state: 'active', olderThan: '0s', action: 'cancel' }],
  })
  const cancels = createTarget(
    'shop',
    cancelling,
    createGate(async () => db.credentials(reaper), false),
  )
  const slow = await db.open(app, 'php')
  for (let sweeps = 0; sweeps < 5; sweeps++) {
    const query = slow.client.query('select pg_sleep(3600)').catch(({ code }) => code)
    await until(async () => (await db.stateOf(slow.pid)) === 'active')
    const { report, churn } = await cancels.sweep('reap', deadlineIn(SWEEP_MS))
    expect(report.reaped).toMatchObject([{ pid: slow.pid, action: 'cancel' }])
    expect(await query).toBe('57014')
    expect(stubborn(churn)).toEqual([])
    await db.open(app, 'php')
  }
  await cancels.close()
})

describe('asks for the holders of locks together with the snapshot', () => {
  /** A target whose connection answers a snapshot only after it was asked for the holders too. */
  function waitingTarget(opened: Gate) {
    let asked: () => void
    const waiting = (link: Link): Link => {
      const holdersAsked = new Promise<void>((resolve) => {
        asked = resolve
      })
      return {
        ...link,
        async run(statements, timeoutMs) {
          const [answer] = await Promise.all([link.run(statements, timeoutMs), holdersAsked])
          return answer
        },
        query(sql, timeoutMs) {
          asked()
          return link.query(sql, timeoutMs)
        },
      }
    }
    const gate: Gate = {
      ...opened,
      takeWarm() {
        const link = opened.takeWarm()
        return link && waiting(link)
      },
    }
    return createTarget('shop', idleAtOnce, gate)
  }

  test('if the last sweep needed them', async () => {
    const gate = createGate(async () => db.credentials(reaper), false)
    const ahead = waitingTarget(gate)
    for (const application of ['first', 'second']) {
      await db.open(app, application)
      const { report } = await ahead.sweep('reap', deadlineIn(SWEEP_MS))
      expect(report.reaped).toMatchObject([{ application }])
    }
    await ahead.close()
  })

  test('and fails only if this sweep needs them too', async () => {
    const gate = createGate(async () => db.credentials(reaper), false)
    const ahead = createTarget('shop', idleAtOnce, gate)
    const sweepIt = () => ahead.sweep('reap', deadlineIn(SWEEP_MS))
    await db.open(app, 'first')
    await sweepIt()
    await db.admin.query('revoke usage on language plpgsql from public')
    try {
      expect((await sweepIt()).report).toMatchObject({ entry: 'warm', reaped: [] })
      const spared = await db.open(app, 'second')
      await expect(sweepIt()).rejects.toMatchObject({ kind: 'rights' })
      expect(spared.isAlive()).toBe(true)
    } finally {
      await db.admin.query('grant usage on language plpgsql to public')
    }
    expect((await sweepIt()).report.reaped).toHaveLength(1)
    await ahead.close()
  })
})
