import { adviseApplication } from '../advice.ts'
import { type Case, type Fleet, isLarge, isTight } from '../case.ts'
import type { Evidence, Finding, Remedy, Severity } from '../diagnosis.ts'
import { isPooler } from '../recognise.ts'
import { adjustPooler, limitRole, poolThem } from '../remedies.ts'
import { ago, nameOf, plural, round } from '../words.ts'

/** The looks may begin or end between the end of sessions and their return, so the two are never quite alike. */
const ALIKE = 0.5
const LEAST_TURNOVER = 3
/** A fleet whose oldest session is younger is replaced within one sweep's interval or two. */
const YOUNG_SECONDS = 120
/** A rule and an interval for the arithmetic: those of the policy of the incident. */
const RULE_SECONDS = 30
const INTERVAL_SECONDS = 60

export type Churn = { fleet: Fleet; evidence: Evidence; how: string }

/**
 * The fleets that come back as fast as they go. Either the looks saw it, or all sessions are younger than two
 * minutes and somebody ends sessions of that database all the time.
 */
export function findChurn(now: Case): Churn[] {
  return now.fleets.flatMap((fleet) => {
    const evidence = seenTurnover(now, fleet) ?? seenKills(now, fleet)
    if (evidence === undefined) return []
    return [{ fleet, ...evidence }]
  })
}

function seenTurnover(
  { watchedSeconds, observed, last }: Case,
  { usage, pool }: Fleet,
): Omit<Churn, 'fleet'> | undefined {
  const { opened, ended, peakSessions, oldestIdleSeconds } = usage
  const [first] = observed.looks
  const least = Math.max(LEAST_TURNOVER, peakSessions / 10)
  const [fewer, more] = opened < ended ? [opened, ended] : [ended, opened]
  // A fleet that shrinks or grows is no churn, and neither is one whose idle sessions stay.
  const stays = (oldestIdleSeconds ?? 0) > Math.max(INTERVAL_SECONDS, watchedSeconds)
  if (fewer < least || fewer < ALIKE * more || stays) return undefined
  const killedOf = ({ counters }: Case['last']) =>
    counters.find(({ database }) => database === pool.database)?.killed ?? 0
  const killed = Math.max(0, killedOf(last) - killedOf(first))
  const byWhom = killed >= ended / 2 ? `, ${killed} of them from outside` : ''
  return {
    evidence: { opened, ended, killed, ...agesOf(usage, watchedSeconds) },
    how: `${opened} opened and ${ended} ended in ${ago(watchedSeconds)}${byWhom}`,
  }
}

function seenKills(now: Case, { pool, usage }: Fleet): Omit<Churn, 'fleet'> | undefined {
  const { oldestSessionSeconds, members } = usage
  const counters = now.last.counters.find(({ database }) => database === pool.database)
  const upSeconds = now.observed.facts.settings?.upSeconds ?? 0
  if (counters === undefined || !isLarge(members.length, now.usable)) return undefined
  const isYoung = oldestSessionSeconds < YOUNG_SECONDS && upSeconds > 5 * YOUNG_SECONDS
  if (!isYoung || counters.killed < 2 * members.length) return undefined
  return {
    evidence: {
      killed: counters.killed,
      sessionsOpened: counters.sessions,
      ...agesOf(usage, now.watchedSeconds),
    },
    how: `all are younger than ${ago(Math.ceil(oldestSessionSeconds))}, and ${counters.killed} of the ${counters.sessions} sessions that ${pool.database} ever had were ended from outside`,
  }
}

function agesOf(usage: Fleet['usage'], watchedSeconds: number): Evidence {
  const { members, oldestIdleSeconds, oldestSessionSeconds, meanPauseSeconds, opened } = usage
  return {
    sessions: members.length,
    openedPerMinute: watchedSeconds > 0 ? round((opened / watchedSeconds) * 60) : null,
    oldestIdleSeconds: oldestIdleSeconds === null ? null : round(oldestIdleSeconds),
    oldestSessionSeconds: round(oldestSessionSeconds),
    meanPauseSeconds: meanPauseSeconds === null ? null : round(meanPauseSeconds),
  }
}

/**
 * How many sessions a fleet holds on average while a rule ends them.
 * @param workers the processes that each want a session
 * @param pauseSeconds between two uses by one worker
 */
export function heldUnderReaping(workers: number, pauseSeconds: number): number {
  const share = (RULE_SECONDS + INTERVAL_SECONDS / 2) / pauseSeconds
  return Math.round(workers * Math.min(1, share))
}

/** If sessions are ended from outside all the time: how to find what does that. */
export function findKiller({ evidence }: Churn): Remedy[] {
  if (Number(evidence.killed) === 0) return []
  return [
    {
      kind: 'sql',
      text: `SELECT pid, usename, application_name, client_addr, query_start
  FROM pg_stat_activity
 WHERE query ~* 'pg_terminate_backend' AND pid <> pg_backend_pid();`,
      why: 'Something ends these sessions: a script, a cron job, Slotkeeper, or a signal on the machine. This only shows who ran pg_terminate_backend last; a script that connects anew each time may be missing. Stop it: each session that it ends costs a login, and no slot stays free.',
    },
  ]
}

/** A pool that comes back as fast as it goes: reaping can't help. */
export function reportChurn(now: Case): Finding[] {
  return findChurn(now).map((churn) => {
    const { fleet, evidence, how } = churn
    const { usage, pool } = fleet
    const workers = usage.peakSessions
    const pause = usage.meanPauseSeconds
    const held = pause === null ? null : heldUnderReaping(workers, pause)
    const arithmetic =
      held === null
        ? 'Ending them frees no slot for long'
        : `If idle sessions were ended each minute after ${RULE_SECONDS} s, ${held} of ${workers} would still be there: ${workers} x min(1, (${RULE_SECONDS} s + ${INTERVAL_SECONDS / 2} s) / pause of ${ago(pause)} between uses)`
    return {
      id: 'churn',
      severity: severityOf(now, usage),
      title: `${nameOf(fleet)} replaces each session that ends at once: ${how}. ${arithmetic}`,
      evidence: { ...evidence, workers, heldUnderReaping: held },
      pool,
      remedies: isPooler(fleet.recognised)
        ? adjustPooler(fleet)
        : [
            ...adviseApplication(now, fleet),
            poolThem(now, fleet),
            fewerWorkers(fleet),
            ...limitRole(now, fleet),
            ...findKiller(churn),
          ],
    }
  })
}

function severityOf(now: Case, { peakSessions }: Fleet['usage']): Severity {
  if (!isLarge(peakSessions, now.usable)) return 'info'
  return isTight(now) ? 'critical' : 'warning'
}

function fewerWorkers({ usage, clients }: Fleet) {
  const { peakSessions, peakBusy } = usage
  const fewer = Math.max(peakBusy + 1, Math.ceil(peakSessions / 3))
  return {
    kind: 'application' as const,
    text: `run about ${plural(fewer, 'worker')} where ${peakSessions} hold a session now (on ${plural(clients, 'client address', 'client addresses')})`,
    why: `That is a third of them: in a trial with PHP workers, no job was refused when a third of the workers ran. They do less work in all, if each one waits between its jobs. Workers that were refused are not counted here.`,
  }
}
