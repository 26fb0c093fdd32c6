import { Client } from 'pg'
import { afterAll, afterEach, beforeEach, expect } from 'vitest'
import type { Credentials } from '../../lambda/core/credentials.ts'
import type { Report } from '../../lambda/core/report.ts'
import {
  createGate,
  type Deadline,
  deadlineIn,
  type Gate,
  SWEEP_MS,
} from '../../lambda/postgres/gate.ts'
import { sweep } from '../../lambda/sweep.ts'
import { type Fate, startProxy } from '../../stand-ins/proxy.ts'
import { type OtherSession, REAPER_ROLES, type Role, testServer, until } from './server.ts'
import { policy } from './session.ts'

/** Of a sweep's time the signal statement keeps 4 s for its end; the rest is ample to get there. */
export const SHORT_MS = 8_000

export const db = await testServer()
export const reaper = await db.role('reaper', REAPER_ROLES)
export const app = await db.role('shop_app')
export const other = await db.role('shop_other')
export const network = await startProxy(db.server)
afterAll(() => network.close())

const everyIdle = policy({
  scope: { users: ['shop_*'] },
  rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
})

export let credentials: Credentials
export let gate: Gate
/** From now on the gate logs in with these. */
export const logInWith = (different: Partial<Credentials>): void => {
  credentials = { ...credentials, ...different }
}
beforeEach(() => {
  network.to = db.server
  network.judge = () => 'pass'
  credentials = { ...db.credentials(reaper), port: network.port }
  gate = createGate(async () => credentials, false)
})
afterEach(async () => {
  await gate.close()
  // Whatever happened, nothing of Slotkeeper stays on the server.
  await until(async () => (await ownSessions()).length === 0)
})

export async function run(timeMs = SWEEP_MS, deadline = deadlineIn(timeMs)): Promise<Report> {
  const order = { target: 'test', policy: everyIdle, mode: 'reap' } as const
  return (await sweep(gate, order, deadline)).report
}

export async function ownSessions(): Promise<number[]> {
  const { rows } = await db.admin.query<{ pid: number }>(
    "select pid from pg_stat_activity where application_name = 'slotkeeper'",
  )
  return rows.map(({ pid }) => pid)
}

export const open = (count: number) =>
  Promise.all(Array.from({ length: count }, () => db.open(app, 'php')))

export const allEnded = (sessions: OtherSession[]) =>
  Promise.all(sessions.map(({ ended }) => ended))

/** Sweeps, and acts when the signals are out and one session is stuck in its end. */
export async function whileSettling(act: (release: () => void) => unknown) {
  const victims = await open(2)
  const { pid } = victims[0] as OtherSession
  let held: boolean = process.kill(pid, 'SIGSTOP')
  const release = () => {
    if (held) process.kill(pid, 'SIGCONT')
    held = false
  }
  const settling = new Promise<void>((resolve) => {
    network.judge = (chunk, from) => {
      if (from === 'client' && chunk.includes('as places')) resolve()
      return 'pass'
    }
  })
  try {
    const report = run()
    await settling
    await act(release)
    return { victims, report: await report }
  } finally {
    release()
  }
}

/** Opens a session of each role, one after the other. A sweep signals them in this order. */
export async function openInOrder(roles: Role[]): Promise<OtherSession[]> {
  const opened: OtherSession[] = []
  for (const role of roles) opened.push(await db.open(role, 'php'))
  return opened
}

/**
 * Sweeps, and acts in the middle of the signal statement: it has ended the first session, and waits at
 * the second for the lock on pg_authid. To signal it, the server reads its role, which it has kept in
 * mind only of the first.
 */
export async function whileSignalling(
  [first]: OtherSession[],
  act: (own: number, locker: Client, deadline: Deadline) => unknown,
  timeMs = SWEEP_MS,
): Promise<Report> {
  const locker = new Client({ connectionString: db.server.url() })
  await locker.connect()
  network.judge = async (chunk): Promise<Fate> => {
    if (isSignal(chunk)) await locker.query('begin; lock table pg_authid')
    return 'pass'
  }
  try {
    const deadline = deadlineIn(timeMs)
    const report = run(timeMs, deadline)
    await first?.ended
    let own: number | undefined
    await until(async () => {
      const { rows } = await locker.query(
        "select pid from pg_stat_activity where application_name = 'slotkeeper' and wait_event_type = 'Lock'",
      )
      own = rows[0]?.pid
      return own !== undefined
    })
    await act(own as number, locker, deadline)
    await locker.query('commit')
    return await report
  } finally {
    network.judge = () => 'pass'
    await locker.end()
  }
}

/** The kept connection has signalled a session of `app` then. */
export async function warmUp(): Promise<void> {
  await open(1)
  expect((await run()).reaped).toHaveLength(1)
}

export function expectUnknown({ reaped, refused }: Report, sessions: OtherSession[]): void {
  expect(reaped).toEqual([])
  expect(refused.map(({ pid }) => pid).sort()).toEqual(sessions.map(({ pid }) => pid).sort())
  for (const { sqlstate, message } of refused) {
    expect(sqlstate).toMatch(/^(08006|57P01)$/)
    expect(message).toMatch(/may have been ended or not.*127\.0\.0\.1/)
  }
}

export const isSignal = (chunk: Buffer) => chunk.includes('set local slotkeeper.outcomes')
export const isAnswer = (chunk: Buffer) => chunk.includes('slotkeeper.outcomes') && !isSignal(chunk)
