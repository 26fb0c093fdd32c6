import { judge } from '../../lambda/core/judge.ts'
import { measure } from '../../lambda/core/measurements.ts'
import { type Entry, type Mode, makeReport, type Outcome } from '../../lambda/core/report.ts'
import type { Session } from '../../lambda/core/session.ts'
import { policy, session, snapshot } from './session.ts'

export const strict = policy({ rules: [{ name: 'idle', state: 'idle', olderThan: '30s' }] })

export const circumstances = { policy: strict, newlyCondemned: 0, wouldRefuse: 0 }

export function sweep(
  sessions: Session[],
  outcomes: Outcome[],
  mode: Mode = 'reap',
  entry: Entry = 'warm',
) {
  const look = snapshot(sessions)
  const verdicts = judge(look, strict)
  const report = makeReport({
    target: 'shop',
    mode,
    entry,
    at: '2026-01-01T00:00:00.000Z',
    durationMs: 21,
    snapshot: look,
    policy: strict,
    verdicts,
    outcomes,
  })
  return { look, verdicts, report }
}

export function metricOf(
  name: string,
  sessions: Session[],
  outcomes: Outcome[],
  mode?: Mode,
  entry?: Entry,
) {
  const { look, report } = sweep(sessions, outcomes, mode, entry)
  return measure(look, report, 'full', circumstances).find(
    (measurement) => measurement.name === name,
  )?.values
}

export const many = (count: number, different: Partial<Session> = {}) =>
  Array.from({ length: count }, () => session(different))
