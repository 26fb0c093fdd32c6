import { describe, expect, test } from 'vitest'
import { showSweep } from '../../../cli/show-sweep.ts'
import type { Outcome } from '../../../lambda/core/report.ts'
import { countSlots } from '../../../lambda/core/slots.ts'
import { many, strict, sweep } from '../../support/judged.ts'
import { session, snapshot } from '../../support/session.ts'

describe('slots', () => {
  test.each([
    [100, 3, 95, 2, 97.9],
    [100, 3, 97, 0, 100],
    [100, 3, 100, 0, 103.1],
    [100, 0, 0, 100, 0],
    [3, 3, 1, 0, 100],
  ])('max %d, reserved %d, used %d', (max, reserved, used, available, usedPercent) => {
    const slots = countSlots(snapshot(many(used), { slots: { max, reserved } }))
    expect(slots).toEqual({ max, reserved, used, available, usedPercent })
  })
})

describe('the report', () => {
  test('has the documented fields', () => {
    const one = session({ pid: 7, ageSeconds: 41.23 })
    const { report } = sweep([one, session({ state: 'active' })], [{ outcome: 'reaped' }])
    expect(report).toEqual({
      target: 'shop',
      mode: 'reap',
      at: '2026-01-01T00:00:00.000Z',
      durationMs: 21,
      entry: 'warm',
      server: { version: 180004 },
      slots: { max: 100, reserved: 3, used: 2, available: 95, usedPercent: 2.1 },
      sessions: {
        total: 2,
        active: 1,
        idle: 1,
        idleInTransaction: 0,
        idleInTransactionAborted: 0,
        other: 0,
        opened: null,
      },
      inScope: 2,
      rules: [
        { name: 'idle', matched: 1, due: true, reaped: 1 },
        { name: 'slotkeeper:orphan', matched: 0, due: true, reaped: 0 },
      ],
      unmatched: [],
      cannotSignal: false,
      wouldReap: [],
      reaped: [
        {
          pid: 7,
          user: 'shop_app',
          database: 'shop',
          application: 'php',
          client: '10.0.1.7',
          state: 'idle',
          ageSeconds: 41.2,
          rule: 'idle',
          action: 'terminate',
        },
      ],
      spared: {
        protected: 0,
        listening: 0,
        advisoryLock: 0,
        replicationSlot: 0,
        backup: 0,
        kept: 0,
        budget: 0,
        changed: 0,
        gone: 0,
      },
      refused: [],
    })
  })

  test.each<[Outcome, object, string]>([
    [{ outcome: 'changed' }, { spared: { changed: 1 } }, '1 not reaped: changed'],
    [{ outcome: 'gone' }, { spared: { gone: 1 } }, '1 not reaped: had already ended'],
    [
      { outcome: 'advisoryLock' },
      { spared: { advisoryLock: 1 } },
      '1 not reaped: took an advisory lock',
    ],
    [
      { outcome: 'unsignalled' },
      { spared: { budget: 1 } },
      '1 not reaped: the sweep ran out of time',
    ],
    [
      { outcome: 'refused', sqlstate: '42501', message: 'no' },
      { refused: [{ pid: 9, sqlstate: '42501', message: 'no' }] },
      'Refused 1',
    ],
  ])('shows the outcome %o', (outcome, expected, shown) => {
    const { look, report, verdicts } = sweep([session({ pid: 9 })], [outcome])
    expect(report).toMatchObject({ reaped: [], wouldReap: [], ...expected })
    const seen = { snapshot: look, policy: strict, policyName: 'p.json', waiting: [], all: false }
    expect(showSweep({ report, verdicts, ...seen })).toContain(shown)
  })

  test('pairs outcomes with their sessions', () => {
    const sessions = [session({ pid: 1001 }), session({ listening: true }), session({ pid: 1003 })]
    const { report } = sweep(sessions, [{ outcome: 'gone' }, { outcome: 'reaped' }])
    expect(report.reaped.map(({ pid }) => pid)).toEqual([1003])
    expect(report.spared).toMatchObject({ listening: 1, gone: 1 })
  })

  test('counts every state', () => {
    const states = [
      'active',
      'idle',
      'idle in transaction',
      'idle in transaction (aborted)',
      'disabled',
      null,
    ]
    const { report } = sweep(
      states.map((state) => session({ state, ageSeconds: 1 })),
      [],
    )
    expect(report.sessions).toEqual({
      total: 6,
      active: 1,
      idle: 1,
      idleInTransaction: 1,
      idleInTransactionAborted: 1,
      other: 2,
      opened: null,
    })
  })
})
