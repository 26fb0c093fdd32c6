import { expect, test } from 'vitest'
import { makeReport } from '../../lambda/core/report.ts'
import type { Session } from '../../lambda/core/session.ts'
import { notices } from '../../lambda/notices.ts'
import { policy, session, snapshot } from '../support/session.ts'

const RULES = [{ name: 'stale', state: 'idle', olderThan: '5m' }] as const

test.each<[name: string, others: Session[], scope: { users?: string[] }, why: string]>([
  ['nobody else is there', [], {}, "the only session is this sweep's own"],
  ['nobody else is there to match', [], { users: ['crm'] }, "the only session is this sweep's own"],
  ['others are out of scope', [session()], { users: ['crm'] }, 'none of the 2 sessions is in the'],
])('a scope that meets no session: %s', (_, others, scope, why) => {
  const seen = snapshot([session({ pid: 1, user: 'reaper' }), ...others])
  const written = policy({ scope, rules: [...RULES] })
  const report = makeReport({
    target: 'shop',
    mode: 'observe',
    entry: 'client',
    at: '2026-01-01T00:00:00.000Z',
    durationMs: 1,
    snapshot: seen,
    policy: written,
    verdicts: [],
    outcomes: [],
  })
  expect(notices(seen, written, report)).toMatchObject([
    { message: 'scope meets no session', why: expect.stringContaining(why) },
  ])
})
