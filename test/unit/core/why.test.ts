// Every reason that a verdict can have, word for word: log lines and alarms are read by people, and
// searched for by their words.
import { describe, expect, test } from 'vitest'
import { judge } from '../../../lambda/core/judge.ts'
import type { WrittenPolicy } from '../../../lambda/core/policy.ts'
import type { Session, Snapshot } from '../../../lambda/core/session.ts'
import type { SpareReason, Verdict } from '../../../lambda/core/verdict.ts'
import { policy, session, snapshot } from '../../support/session.ts'

type Rule = WrittenPolicy['rules'][number]

const idle: Rule = { name: 'idle', state: 'idle', olderThan: '30s' }
const orphan: Partial<Session> = { user: 'reaper', application: 'slotkeeper', ageSeconds: 300 }

type Case = {
  why: string
  session?: Partial<Session>
  /** Further sessions on the server. */
  beside?: Partial<Session>[]
  policy?: Partial<WrittenPolicy>
  snapshot?: Partial<Snapshot>
}

function judgeOne({ session: different = {}, beside = [], policy: input, ...look }: Case) {
  const sessions = [different, ...beside].map(session)
  const [verdict] = judge(snapshot(sessions, look.snapshot), policy({ rules: [idle], ...input }))
  const { session: _, ...said } = verdict as Verdict
  return said
}

/** The type asks for each reason that there is. */
const spares: Record<SpareReason, Case[]> = {
  protected: [
    { why: 'this sweep itself', session: { pid: 1 } },
    { why: 'its owner is not known', session: { user: null, superuser: null } },
    { why: 'role rdsadmin belongs to RDS', session: { user: 'rdsadmin' } },
    { why: 'role rdsadmin belongs to RDS', session: { user: 'rdsadmin', superuser: true } },
    { why: 'owned by a superuser', session: { superuser: true } },
    { why: 'another run of Slotkeeper', session: { ...orphan, ageSeconds: 60 } },
    {
      why: 'protect[1] of the policy',
      policy: { protect: [{ users: ['x'] }, { applications: ['php'] }, { users: ['shop_app'] }] },
    },
    {
      why: 'protect[0] of the policy',
      session: { advisoryLock: true, listening: true },
      policy: { protect: [{ applications: ['php'] }] },
    },
  ],
  listening: [{ why: 'listens for notifications', session: { listening: true } }],
  replicationSlot: [
    { why: 'has a replication slot in use', session: { replicationSlot: true } },
    { why: 'has a replication slot in use', session: { replicationSlot: true, backup: true } },
  ],
  backup: [
    { why: 'is between the start and the stop of a backup', session: { backup: true } },
    {
      why: 'is between the start and the stop of a backup',
      session: { backup: true, listening: true },
    },
  ],
  advisoryLock: [
    { why: 'holds an advisory lock', session: { advisoryLock: true } },
    { why: 'holds an advisory lock', session: { advisoryLock: true, listening: true } },
  ],
  kept: [{ why: 'one of the 2 most recently used of its pool', policy: { keep: 2 } }],
  budget: [
    {
      why: 'beyond the budget of 1 in one sweep',
      beside: [{ ageSeconds: 61 }],
      policy: { budget: 1 },
    },
  ],
}

describe.each(Object.entries(spares))('spared as %s', (reason, cases) => {
  test.each(cases)('$why', (given) => {
    expect(judgeOne(given)).toEqual({ verdict: 'spare', rule: 'idle', reason, why: given.why })
  })
})

test('spares a protected session that the built-in rule for orphans matches', () => {
  const why = 'protect[0] of the policy'
  const given = { session: orphan, policy: { protect: [{ users: ['reaper'] }] } }
  expect(judgeOne({ why, ...given })).toEqual({
    verdict: 'spare',
    rule: 'slotkeeper:orphan',
    reason: 'protected',
    why,
  })
})

describe('left', () => {
  test.each<Case>([
    { why: 'out of scope', policy: { scope: { users: ['other'] } } },
    {
      why: 'the server does not say how long it is disabled',
      session: { state: 'disabled', ageSeconds: null },
    },
    { why: 'meets no rule', session: { ageSeconds: 29 } },
    { why: 'meets no rule', session: { state: 'active' } },
    { why: 'meets no rule', policy: { rules: [{ ...idle, when: { idleOver: 1 } }] } },
  ])('$why', (given) => {
    expect(judgeOne(given)).toEqual({ verdict: 'leave', why: given.why })
  })
})

describe('reaped', () => {
  const rule = (different: Partial<Rule>) => ({ rules: [{ ...idle, ...different } as Rule] })
  const tenSlots = { slots: { max: 10, reserved: 2 } }

  test.each<Case & { rule?: string; action?: string }>([
    { why: 'idle 60 s, limit 30 s' },
    { why: 'idle 41.2 s, limit 30 s', session: { ageSeconds: 41.23 } },
    { why: 'idle 60 s, limit 0.3 s', policy: rule({ olderThan: '250ms' }) },
    {
      why: 'idle 60 s, limit 0 s; 2 idle, more than 1',
      beside: [{}],
      policy: rule({ olderThan: '0s', when: { idleOver: 1 } }),
    },
    {
      why: 'idle 60 s, limit 30 s; 25% of slots used, more than 12.5%',
      beside: [{}],
      policy: rule({ when: { slotsUsedOver: '12.5%' } }),
      snapshot: tenSlots,
    },
    {
      why: 'idle 60 s, limit 30 s; 2 idle, more than 1; 25% of slots used, more than 20%',
      beside: [{}],
      policy: rule({ when: { idleOver: 1, slotsUsedOver: '20%' } }),
      snapshot: tenSlots,
    },
    {
      why: 'active 60 s, limit 30 s',
      session: { state: 'active' },
      policy: rule({ state: 'active', action: 'cancel' }),
      action: 'cancel',
    },
    {
      why: 'idle in transaction (aborted) 60 s, limit 30 s',
      session: { state: 'idle in transaction (aborted)' },
      policy: rule({ state: 'idle in transaction (aborted)' }),
    },
    {
      why: 'idle 300 s, left by an earlier run of Slotkeeper',
      session: orphan,
      rule: 'slotkeeper:orphan',
    },
  ])('$why', ({ rule = 'idle', action = 'terminate', ...given }) => {
    expect(judgeOne(given)).toEqual({ verdict: 'reap', rule, action, why: given.why })
  })
})
