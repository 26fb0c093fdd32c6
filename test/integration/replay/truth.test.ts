import { expect, test } from 'vitest'
import { readFrames } from '../../../cli/replay/frames.ts'
import { createReplayer } from '../../../cli/replay/replay.ts'
import type { Replay } from '../../../cli/replay/result.ts'
import { suggest } from '../../../cli/replay/suggest.ts'
import type { Policy, WrittenPolicy } from '../../../lambda/core/policy.ts'
import { type Frame, writeFrame } from '../../../lambda/core/recording.ts'
import { withHolders } from '../../../lambda/core/session.ts'
import { look } from '../../../lambda/look.ts'
import { createGate, deadlineIn } from '../../../lambda/postgres/gate.ts'
import { readHolders } from '../../../lambda/postgres/locks.ts'
import { at } from '../../support/frames.ts'
import { rewriteTimes } from '../../support/scripted.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

// Real sessions of a real server follow a script. Snapshots are taken at chosen moments, and then get the times
// of the script: the first at 0:00, and one each minute. So each number below follows from the script alone.

const SLOTS = 20
const USABLE = 17
const db = await testServer({
  max_connections: String(SLOTS),
  superuser_reserved_connections: String(SLOTS - USABLE),
})
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')

const gate = createGate(async () => db.credentials(reaper), false)

async function takeFrame(): Promise<Frame> {
  const { link, snapshot } = await look(gate, deadlineIn(30_000))
  const whole = withHolders(snapshot, await readHolders(link, 30_000))
  await gate.giveBack(link)
  // The test's own connection is no part of the script.
  const sessions = whole.sessions.filter(({ application }) => application !== 'test admin')
  return { target: 'shop', snapshot: { ...whole, sessions }, reaped: new Set() }
}

/** What the clients do before the snapshot of a minute. */
async function recordScript(): Promise<Frame[]> {
  await db.admin.query('create table orders (); grant all on orders to shop_app')
  const open = (name: string, ...statements: string[]) => db.open(app, name, ...statements)
  const comesBack = await open('comes back')
  await open('never')
  const leaves = await open('leaves')
  const renews = await open('renews')
  const transacts = await open('transacts')
  const waits = await open('waits')
  await open('locks', 'select pg_advisory_lock(7)')
  const listens = await open('listens', 'listen orders')

  let blocked: Promise<unknown> = Promise.resolve()
  const script: Record<number, () => Promise<unknown>> = {
    2: () => use(listens),
    3: () => Promise.all([use(comesBack), use(transacts, 'begin', 'lock table orders')]),
    4: () => {
      blocked = waits.client.query('insert into orders default values')
      return waitsForLock(waits.pid)
    },
    6: () => Promise.all([renew(), use(transacts, 'commit').then(() => blocked)]),
    9: () => db.end([leaves]),
    10: () => use(comesBack),
  }
  const renew = async () => {
    await db.end([renews])
    await open('renews')
  }
  const frames: Frame[] = []
  for (let minute = 0; minute <= 12; minute += 1) {
    await script[minute]?.()
    frames.push(await takeFrame())
  }
  return rewriteTimes(frames)
}

function waitsForLock(pid: number): Promise<void> {
  return until(async () => {
    const { rows } = await db.admin.query(
      'select wait_event from pg_stat_activity where pid = $1',
      [pid],
    )
    return rows[0]?.wait_event === 'relation'
  })
}

type Client = Awaited<ReturnType<typeof db.open>>

async function use({ client, pid }: Client, ...statements: string[]): Promise<void> {
  for (const statement of statements.length > 0 ? statements : ['select 1']) {
    await client.query(statement)
  }
  await db.settled(pid)
}

async function replay(frames: Frame[], ...policies: [string, Policy][]): Promise<Replay> {
  const replayer = createReplayer(policies.map(([name, one]) => ({ name, policy: one })))
  const lines = frames.flatMap(writeFrame)
  async function* read() {
    for (const text of lines) yield { text, where: () => 'recording' }
  }
  for await (const frame of readFrames([{ name: 'recording', lines: read }])) replayer.add(frame)
  return replayer.end()
}

const stale: WrittenPolicy = {
  rules: [
    { name: 'stale', state: 'idle', olderThan: '5m' },
    { name: 'stuck', state: 'idle in transaction', olderThan: '2m' },
  ],
}

test('a replay says of each client what its script says', async () => {
  const frames = await recordScript()
  await gate.close()
  const { report, pictures } = await replay(frames, ['stale', policy(stale)])
  const [client] = new Set(frames.flatMap(({ snapshot }) => snapshot.sessions.map((s) => s.client)))
  const pool = (application: string) => ({
    user: 'shop_app',
    database: 'postgres',
    application,
    client,
  })
  const pidOf = (application: string) =>
    frames[0]?.snapshot.sessions.find((session) => session.application === application)?.pid

  expect(report).toMatchObject({
    target: 'shop',
    from: at(0),
    to: at(720),
    snapshots: 13,
    everySeconds: 60,
    // comes back: 2; leaves, renews, transacts, waits and listens: 1 each.
    gaps: 7,
  })

  // At 5:00 all but three are idle for 5:10; "waits" waits, and "transacts" has been in a transaction since 2:50.
  // "comes back" is ended at 8:00, and the second session of "renews", "transacts" and "waits" at 11:00.
  expect(report.policies).toMatchObject([
    {
      wouldReap: 8,
      regretted: 2,
      undecided: 4,
      byRule: { stale: 7, stuck: 1 },
      byHour: [{ hour: 0, wouldReap: 8, regretted: 2, undecided: 4 }],
      peakUsedPercent: { recorded: 52.9, replayed: 52.9 },
      // 9 of 17 slots nine times, then 8; and 9 six times, 7, 7, 7, 6, 7, 7, 4.
      meanUsedPercent: { recorded: 51.1, replayed: 44.8 },
      fullMinutes: { recorded: 0, replayed: 0 },
      regrets: [
        {
          ...pool('transacts'),
          pid: pidOf('transacts'),
          rule: 'stuck',
          at: at(300),
          idleSeconds: [130, 190],
        },
        {
          ...pool('comes back'),
          pid: pidOf('comes back'),
          rule: 'stale',
          at: at(480),
          idleSeconds: [370, 430],
        },
      ],
    },
  ])
  const rows = report.policies[0]?.byPool.map(
    ({ application, rule, wouldReap, regretted, undecided }) => [
      application,
      rule,
      wouldReap,
      regretted,
      undecided,
    ],
  )
  expect(rows?.sort()).toEqual([
    ['comes back', 'stale', 1, 1, 0],
    ['leaves', 'stale', 1, 0, 0],
    ['never', 'stale', 1, 0, 1],
    ['renews', 'stale', 2, 0, 1],
    ['transacts', 'stale', 1, 0, 1],
    ['transacts', 'stuck', 1, 1, 0],
    ['waits', 'stale', 1, 0, 1],
  ])
  expect(pictures.series.points.map(({ used, policies }) => [used, policies[0]?.used])).toEqual([
    ...Array(6).fill([9, 9]),
    [9, 7],
    [9, 7],
    [9, 7],
    [8, 6],
    [8, 7],
    [8, 7],
    [8, 4],
  ])

  const pools = Object.fromEntries(
    report.pools.map(({ application, longestGapThatCameBackSeconds: longest, ...of }) => [
      application,
      [
        longest,
        of.safeOlderThan,
        [of.peakBusy, of.meanBusy, of.peakUsed, of.peakSessions],
        [of.gaps.used, of.gaps.ended, of.gaps.undecided],
        [of.frees.mean, of.frees.atPeak],
      ],
    ]),
  )
  expect(pools).toEqual({
    'comes back': [430, '8m', [0, 0, 1, 1], [2, 0, 1], [0, 0]],
    never: [null, '1m', [0, 0, 0, 1], [0, 0, 1], [0.92, 1]],
    leaves: [null, '1m', [0, 0, 0, 1], [0, 1, 0], [0.62, 1]],
    renews: [null, '1m', [0, 0, 1, 1], [0, 1, 1], [0.85, 1]],
    transacts: [190, '210s', [1, 0.23, 1, 1], [1, 0, 1], [0.23, 0]],
    waits: [250, '270s', [1, 0.15, 1, 1], [1, 0, 1], [0.15, 0]],
    locks: [null, '1m', [0, 0, 0, 1], [0, 0, 1], [0, 0]],
    listens: [130, '150s', [0, 0, 1, 1], [1, 0, 1], [0, 0]],
  })
  expect(report.pools).toContainEqual(expect.objectContaining(pool('never')))

  const { policy: suggested } = suggest({ report, pictures })
  const again = await replay(frames, ['suggested', policy(suggested as WrittenPolicy)])
  // never, leaves, renews (2), transacts and waits; those that lock and listen are spared.
  expect(again.report.policies).toMatchObject([{ wouldReap: 6, regretted: 0 }])
})
