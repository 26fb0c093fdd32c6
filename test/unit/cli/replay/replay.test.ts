import { describe, expect, test } from 'vitest'
import { createReplayer } from '../../../../cli/replay/replay.ts'
import type { PolicyResult, Replay } from '../../../../cli/replay/result.ts'
import type { PolicyInput, WrittenPolicy } from '../../../../lambda/core/policy.ts'
import type { Frame } from '../../../../lambda/core/recording.ts'
import { at, frameAt, frames, identity, type Script } from '../../../support/frames.ts'
import { policy } from '../../../support/session.ts'

const MINUTE = 60
const pool = { user: 'shop_app', database: 'shop', application: 'php', client: '10.0.1.7' }

const idleFor = (olderThan: `${number}s` | `${number}m`): WrittenPolicy => ({
  rules: [{ name: 'stale', state: 'idle', olderThan }],
})

function replay(recording: Frame[], ...policies: PolicyInput[]): Replay {
  const replayer = createReplayer(
    policies.map((input, index) => ({ name: `policy ${index}`, policy: policy(input) })),
  )
  for (const frame of recording) replayer.add(frame)
  return replayer.end()
}

const only = ({ report }: Replay) => report.policies[0] as PolicyResult

describe('what became of a session that the policy would have ended', () => {
  const recording = (...scripts: Script[]) => frames(MINUTE, 10 * MINUTE, scripts)

  test('used again: regretted, with the bounds of its idle time', () => {
    const result = only(replay(recording({ pid: 2, opens: 0, uses: [30, 330] }), idleFor('3m')))
    expect(result).toMatchObject({ wouldReap: 2, regretted: 1, undecided: 1 })
    // Idle since 00:30, reaped at 04:00, seen idle at 05:00 and used at 06:00.
    expect(result.regrets).toEqual([
      { ...pool, pid: 2, rule: 'stale', at: at(240), idleSeconds: [270, 330] },
    ])
  })

  test('still idle when the recording ends: undecided', () => {
    const result = only(replay(recording({ pid: 2, opens: 0 }), idleFor('3m')))
    expect(result).toMatchObject({ wouldReap: 1, regretted: 0, undecided: 1, regrets: [] })
  })

  test('ended by itself: neither', () => {
    const result = only(replay(recording({ pid: 2, opens: 0, closes: 400 }), idleFor('3m')))
    expect(result).toMatchObject({ wouldReap: 1, regretted: 0, undecided: 0 })
  })

  test('another session with its pid: neither', () => {
    const scripts = [
      { pid: 2, opens: 0, closes: 400 },
      { pid: 2, opens: 410, uses: [500] },
    ]
    const result = only(replay(recording(...scripts), idleFor('3m')))
    expect(result).toMatchObject({ wouldReap: 1, regretted: 0, undecided: 0 })
  })

  test('in another state with the same time: used', () => {
    const idle = frameAt(300, [{ pid: 2, opens: 0 }])
    const next = frameAt(360, [{ pid: 2, opens: 0, is: { state: 'idle in transaction' } }])
    expect(only(replay([idle, next], idleFor('3m')))).toMatchObject({ regretted: 1 })
  })

  test('ended by Slotkeeper while it was recorded: undecided', () => {
    const script = { pid: 2, opens: 0, closes: 301 }
    const recorded = recording(script)
    const reaped = frameAt(300, [script], {}, [identity(script)])
    const result = replay([...recorded.slice(0, 5), reaped, ...recorded.slice(6)], idleFor('3m'))
    expect(only(result)).toMatchObject({ wouldReap: 1, regretted: 0, undecided: 1 })
    expect(result.report.caveats.join()).toContain('Slotkeeper ended 1 session while')
  })

  test('reaped by Slotkeeper, and yet used again: regretted', () => {
    const script = { pid: 2, opens: 0, uses: [400] }
    const recorded = recording(script)
    const reaped = frameAt(300, [script], {}, [identity(script)])
    const result = replay([...recorded.slice(0, 5), reaped, ...recorded.slice(6)], idleFor('4m'))
    expect(only(result)).toMatchObject({ wouldReap: 1, regretted: 1 })
  })

  test('the session that takes the snapshots: never ended, in no pool, but in a slot', () => {
    const { report } = replay(recording({ pid: 1, opens: 0, uses: [200] }), idleFor('1m'))
    expect(report).toMatchObject({ gaps: 0, pools: [], policies: [{ wouldReap: 0 }] })
    expect(report.policies[0]?.peakUsedPercent).toEqual({ recorded: 1, replayed: 1 })
  })

  test('a cancelled query that went on: regretted, and its slot was never free', () => {
    const rules = [
      { name: 'slow', state: 'active', olderThan: '2m', action: 'cancel' },
    ] satisfies Exclude<PolicyInput, string>['rules']
    const script: Script = { pid: 2, opens: 0, uses: [[60, 500]] }
    const result = replay(recording(script), { rules })
    expect(only(result)).toMatchObject({ wouldReap: 1, regretted: 1, byRule: { slow: 1 } })
    expect(result.pictures.series.points.map(({ policies }) => policies[0]?.used)).toEqual(
      Array(11).fill(1),
    )
  })
})

describe('each snapshot is as it would have been', () => {
  const used = ({ pictures }: Replay) =>
    pictures.series.points.map(({ used: recorded, policies }) => [recorded, policies[0]?.used])

  test('a session takes no slot from its end to its next use', () => {
    const scripts = [
      { pid: 2, opens: 0, uses: [250] },
      { pid: 3, opens: 0, uses: [0, 70, 130] },
    ]
    const result = replay(frames(MINUTE, 5 * MINUTE, scripts), idleFor('2m'))
    expect(used(result)).toEqual([
      [2, 2],
      [2, 2],
      [2, 2],
      [2, 1],
      [2, 1],
      [2, 2],
    ])
    expect(result.pictures.series.points.map(({ policies }) => policies[0])).toMatchObject([
      { reaps: 0, regrets: 0 },
      { reaps: 0, regrets: 0 },
      { reaps: 1, regrets: 1 },
      { reaps: 0, regrets: 0 },
      { reaps: 0, regrets: 0 },
      { reaps: 1, regrets: 0 },
    ])
  })

  test('a crowd that was ended is no crowd any more', () => {
    const crowd: PolicyInput = {
      rules: [{ name: 'crowd', state: 'idle', olderThan: '1m', when: { idleOver: 2 } }],
    }
    const late = { pid: 9, opens: 100 }
    const scripts = [2, 3, 4].map((pid) => ({ pid, opens: 0 }))
    const result = only(replay(frames(MINUTE, 5 * MINUTE, [...scripts, late]), crowd))
    // The recording has four idle sessions from then on; without the three that were ended there is one.
    expect(result).toMatchObject({ wouldReap: 3 })
  })

  test('slots that are free again set off no rule', () => {
    const full: PolicyInput = {
      rules: [{ name: 'full', state: 'idle', olderThan: '1m', when: { slotsUsedOver: '50%' } }],
      budget: 2,
    }
    const scripts = [2, 3, 4, 5, 6].map((pid) => ({ pid, opens: -pid }))
    const different = { slots: { max: 8, reserved: 2 } }
    const result = replay(frames(MINUTE, 5 * MINUTE, scripts, different), full)
    // The budget ends two in the first minute: three of six slots are then used, not more than half.
    expect(used(result).map(([, replayed]) => replayed)).toEqual([5, 5, 3, 3, 3, 3])
    expect(only(result)).toMatchObject({ wouldReap: 2, byRule: { full: 2 } })
  })

  test('keep spares the last ones that are left', () => {
    const keep = { ...idleFor('1m'), keep: 1 }
    const scripts = [2, 3, 4].map((pid) => ({ pid, opens: 0 }))
    expect(only(replay(frames(MINUTE, 5 * MINUTE, scripts), keep))).toMatchObject({ wouldReap: 2 })
  })

  test('a minute is full if ordinary roles had no slot in one of its snapshots', () => {
    const different = { slots: { max: 5, reserved: 2 } }
    const scripts = [
      { pid: 2, opens: 0 },
      { pid: 3, opens: 0 },
      { pid: 4, opens: 90, closes: 210 },
    ]
    const result = only(replay(frames(10, 5 * MINUTE, scripts, different), idleFor('2m')))
    expect(result).toMatchObject({
      peakUsedPercent: { recorded: 100, replayed: 100 },
      // Full from 01:30 to 03:20; at 02:00 two are ended.
      fullMinutes: { recorded: 3, replayed: 2 },
    })
  })

  test('what was seen to listen once stays spared', () => {
    const listens = frameAt(60, [{ pid: 2, opens: 0, is: { listening: true } }])
    const hidden = frames(MINUTE, 10 * MINUTE, [{ pid: 2, opens: 0 }]).slice(2)
    expect(only(replay([listens, ...hidden], idleFor('1m')))).toMatchObject({ wouldReap: 0 })
  })
})

describe('what each pool needs', () => {
  const worker = { is: { application: 'worker' } }
  const pools = (...args: Parameters<typeof replay>) => replay(...args).report.pools

  test('the longest gap that came back, and the age that is safe', () => {
    const scripts: Script[] = [
      { pid: 2, opens: 0, uses: [30, 1290] },
      { pid: 3, opens: 0, closes: 3_000 },
      { pid: 4, opens: 0, uses: [[100, 190]], ...worker },
    ]
    const { report, pictures } = replay(frames(MINUTE, 3_600, scripts))
    expect(report).toMatchObject({ snapshots: 61, everySeconds: 60, from: at(0), to: at(3_600) })
    expect(report.pools).toEqual([
      {
        ...pool,
        // Seen idle for 1,230 s, and used within the minute after that.
        longestGapThatCameBackSeconds: 1_290,
        safeOlderThan: '25m',
        safeOlderThanSeconds: 1_500,
        peakBusy: 0,
        meanBusy: 0,
        peakUsed: 1,
        peakSessions: 2,
        gaps: { used: 2, ended: 1, undecided: 1 },
        // One is idle for so long from 25:00 to 49:00, the other one from 46:30 on. At 49:00 all slots are used.
        frees: { mean: 0.64, atPeak: 2 },
      },
      {
        ...pool,
        application: 'worker',
        longestGapThatCameBackSeconds: 120,
        safeOlderThan: '2m',
        safeOlderThanSeconds: 120,
        peakBusy: 1,
        meanBusy: 0.03,
        peakUsed: 1,
        peakSessions: 1,
        gaps: { used: 1, ended: 0, undecided: 1 },
        frees: { mean: 0.9, atPeak: 1 },
      },
    ])
    expect(report.gaps).toBe(4)
    const [histogram] = pictures.histograms.pools
    const bins = (counts: number[] = []) =>
      counts.flatMap((count, bin) => (count > 0 ? [[pictures.histograms.edges[bin], count]] : []))
    expect(bins(histogram?.used)).toEqual([
      [0, 1],
      [1_200, 1],
    ])
    expect(bins(histogram?.ended)).toEqual([[2_700, 1]])
  })

  test('none came back: no gap is longer than the time between two snapshots', () => {
    const [result] = pools(frames(MINUTE, 1_200, [{ pid: 2, opens: -9_000 }]))
    expect(result).toMatchObject({ longestGapThatCameBackSeconds: null, safeOlderThan: '1m' })
  })

  test('one snapshot: no age is known to be safe', () => {
    const [result] = pools([frameAt(60, [{ pid: 2, opens: -9_000 }])])
    expect(result).toMatchObject({
      longestGapThatCameBackSeconds: null,
      safeOlderThan: null,
      safeOlderThanSeconds: null,
      frees: { mean: 0, atPeak: 0 },
    })
  })

  test('a pool is as large as the sessions that were used between two snapshots, at most', () => {
    const scripts: Script[] = [2, 3, 4].map((pid) => ({
      pid,
      opens: 0,
      uses: [[100, 100 + pid * 30]] as [number, number][],
    }))
    const [result] = pools(frames(MINUTE, 600, scripts))
    // At 02:00 and 03:00 three and two are busy; before 02:00 all three are used.
    expect(result).toMatchObject({ peakBusy: 3, peakUsed: 3, peakSessions: 3 })
    const [moments] = pools(
      frames(
        MINUTE,
        600,
        scripts.map((script) => ({ ...script, uses: [100] })),
      ),
    )
    expect(moments).toMatchObject({ peakBusy: 0, meanBusy: 0, peakUsed: 3 })
  })

  test('a session that is still connecting belongs to none, but takes a slot', () => {
    const starting = { pid: 2, opens: 0, is: { state: 'starting', user: null, database: null } }
    const { report, pictures } = replay([frameAt(60, [starting])])
    expect(report.pools).toEqual([])
    expect(pictures.series.points).toMatchObject([{ used: 1 }])
  })

  test('what a policy could not end would not be freed', () => {
    const scripts: Script[] = [
      { pid: 2, opens: 0, is: { listening: true } },
      { pid: 3, opens: 0, is: { superuser: true, user: 'postgres' } },
      { pid: 4, opens: 0, is: { advisoryLock: true } },
    ]
    for (const { frees } of pools(frames(MINUTE, 1_200, scripts))) {
      expect(frees).toEqual({ mean: 0, atPeak: 0 })
    }
  })

  test('a gap that ends while snapshots are missing counts as long as it was seen', () => {
    const recording = frames(MINUTE, 7_200, [{ pid: 2, opens: 0, uses: [400, 4_000] }])
    const holed = recording.filter((_, index) => index < 20 || index > 100)
    const { report } = replay(holed, idleFor('10m'))
    expect(report.pools[0]).toMatchObject({ longestGapThatCameBackSeconds: 800 })
    expect(report.caveats[0]).toContain('81 minutes in 1 period, the longest from')
    expect(report.policies[0]?.regrets).toMatchObject([{ idleSeconds: [740, 5_660] }])
  })
})

describe('two policies', () => {
  const scripts: Script[] = [
    { pid: 2, opens: 0 },
    { pid: 3, opens: 0, uses: [250] },
    { pid: 4, opens: 0, is: { application: 'cron' } },
  ]
  const first = idleFor('2m')
  const second: PolicyInput = {
    protect: [{ applications: ['php'] }],
    rules: [
      { name: 'old', state: 'idle', olderThan: '3m' },
      { name: 'older', state: 'idle', olderThan: '4m' },
    ],
  }

  test('are compared session by session, with the reasons of both', () => {
    const { difference } = replay(frames(MINUTE, 5 * MINUTE, scripts), first, second).report
    expect(difference).toMatchObject({ both: 1, onlyFirst: 2, onlySecond: 0 })
    const spared = { reaps: false, at: at(180), why: 'protect[0] of the policy' }
    const reaped = { reaps: true, at: at(120), why: 'idle 120 s, limit 120 s' }
    expect(difference?.sessions).toEqual([
      { ...pool, pid: 3, first: reaped, second: spared, fate: 'used' },
      { ...pool, pid: 2, first: reaped, second: spared, fate: 'undecided' },
      {
        ...pool,
        application: 'cron',
        pid: 4,
        first: reaped,
        second: { reaps: true, at: at(180), why: 'idle 180 s, limit 180 s' },
        fate: 'undecided',
      },
    ])
  })

  test('the other way round', () => {
    const { difference } = replay(frames(MINUTE, 5 * MINUTE, scripts), second, first).report
    expect(difference).toMatchObject({ both: 1, onlyFirst: 0, onlySecond: 2 })
  })

  test.each([[[]], [[first]], [[first, first, first]]])('one or three are not', (policies) => {
    expect(replay(frames(MINUTE, 300, scripts), ...policies).report.difference).toBeUndefined()
  })
})

test('reaps are counted by rule, pool and hour', () => {
  const scripts: Script[] = [
    { pid: 2, opens: 0 },
    { pid: 3, opens: 0, uses: [5_000], is: { application: 'cron' } },
  ]
  const { byRule, byPool, byHour } = only(
    replay(frames(MINUTE, 8_000, scripts), {
      rules: [
        { name: 'never', state: 'active', olderThan: '1h' },
        { name: 'stale', state: 'idle', olderThan: '30m' },
      ],
    }),
  )
  const hours = (...counts: number[]) => [...counts, ...Array(24 - counts.length).fill(0)]
  expect(byRule).toEqual({ never: 0, stale: 3 })
  expect(byPool).toEqual([
    {
      ...pool,
      application: 'cron',
      rule: 'stale',
      wouldReap: 2,
      regretted: 1,
      undecided: 1,
      hours: hours(1, 1),
    },
    { ...pool, rule: 'stale', wouldReap: 1, regretted: 0, undecided: 1, hours: hours(1) },
  ])
  expect(byHour).toEqual([
    { hour: 0, wouldReap: 2, regretted: 1, undecided: 1 },
    { hour: 1, wouldReap: 1, regretted: 0, undecided: 1 },
  ])
})

test.each([
  [5, 1, true],
  [60, 1, false],
  [5, 0, false],
])('snapshots each %i s, %i policies: told that sweeps are rarer: %s', (every, count, isTold) => {
  const policies = Array<PolicyInput>(count).fill(idleFor('1m'))
  const { caveats } = replay(frames(every, 300, [{ pid: 2, opens: 0 }]), ...policies).report
  expect(caveats.join().includes('The function sweeps once a minute')).toBe(isTold)
})

test('snapshots without a look at the locks are told', () => {
  const scripts: Script[] = [
    { pid: 2, opens: 0, is: { advisoryLock: null, replicationSlot: null } },
  ]
  const { caveats } = replay(frames(MINUTE, 180, scripts)).report
  expect(caveats[0]).toContain('In 4 of 4 snapshots, nobody looked')
})

test('the limits of policies stand with the gaps that they select', () => {
  const scripts: Script[] = [
    { pid: 2, opens: 0 },
    { pid: 3, opens: 0, is: { application: 'cron' } },
  ]
  const { pictures } = replay(frames(MINUTE, 180, scripts), {
    protect: [{ applications: ['cron'] }],
    rules: [
      { name: 'a', state: 'idle', olderThan: '5m', when: { idleOver: 3 } },
      { name: 'b', state: 'idle', olderThan: '90s', match: { applications: ['p*'] } },
      { name: 'c', state: 'active', olderThan: '1h' },
    ],
  })
  expect(pictures.histograms.pools.map(({ application, limits }) => [application, limits])).toEqual(
    [
      [
        'php',
        [
          { policy: 'policy 0', rule: 'a', seconds: 300, conditional: true },
          { policy: 'policy 0', rule: 'b', seconds: 90, conditional: false },
        ],
      ],
      ['cron', []],
    ],
  )
})
