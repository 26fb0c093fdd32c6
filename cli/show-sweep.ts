import { INCIDENT, type Policy, type Rule } from '../lambda/core/policy.ts'
import { type Pool, poolFields, poolOf } from '../lambda/core/pool.ts'
import type { Report } from '../lambda/core/report.ts'
import type { Snapshot } from '../lambda/core/session.ts'
import { printable } from '../lambda/core/text.ts'
import type { Verdict } from '../lambda/core/verdict.ts'
import { notices, showEntry } from '../lambda/notices.ts'
import type { Waiting } from '../lambda/postgres/blocking.ts'
import { greatest, sleeps } from './causes.ts'
import { groupBy } from './group.ts'
import { age, entryWords, paint, slotsBar, table } from './show.ts'
import { MOST_LINES, POOL_HEAD, poolCells, showHoldings, showSleepers } from './show-causes.ts'

/** One sweep, and what is needed to show it. */
export type Shown = {
  report: Report
  snapshot: Snapshot
  verdicts: Verdict[]
  policy: Policy
  /** A file or the name of a policy. Undefined if the caller gave none. */
  policyName: string | undefined
  /** The sessions that wait for a lock, or the reason why they could not be read. */
  waiting: Waiting[] | string
  /** Whether to print one line for each session instead of each pool. */
  all: boolean
}

/** Ordered for an engineer who was just paged: what was done, why the server is full, which sessions the policy selects. */
export function showSweep(shown: Shown): string {
  const { report, snapshot, policy, waiting, all } = shown
  return [
    ...showHeadline(shown),
    ...showServer(report),
    ...showHoldings(snapshot, report.mode === 'observe' ? 'holds' : 'held', all),
    ...showSleepers(snapshot, waiting, report.reaped, all),
    ...(hasSleeperRule(policy) || !snapshot.sessions.some(sleeps)
      ? []
      : ['This policy has no rule for sessions that are idle in a transaction.']),
    ...showRules(report, policy),
    ...showUnmatched(report, policy, all),
    ...showVictims(shown),
    ...showSpared(shown),
    ...showRefused(shown),
    ...showNext(shown),
  ].join('\n')
}

function showHeadline({ report, snapshot, policy, policyName }: Shown): string[] {
  const { mode, sessions, reaped, wouldReap, refused, cannotSignal } = report
  const of = policyName === INCIDENT ? `"${INCIDENT}"` : policyName
  const by = of === undefined ? `"${INCIDENT}", as no policy was given` : printable(of)
  const verb = cannotSignal && wouldReap.length > 0 ? 'would try to reap' : 'would reap'
  const done =
    mode === 'observe'
      ? `${verb} ${wouldReap.length} of ${sessions.total} sessions`
      : `reaped ${reaped.length} of ${sessions.total} sessions${refused.length > 0 ? `, ${refused.length} refused` : ''}`
  const hasty = policy.rules.filter(({ state, olderThan }) => state === 'idle' && olderThan === 0)
  return [
    paint('bold', `${mode}, policy ${by}: ${done}`),
    ...hasty.map(({ name }) =>
      paint(
        'yellow',
        `Rule "${printable(name)}" (0s) also ends sessions that have just been used.`,
      ),
    ),
    ...notices(snapshot, policy, report).map(({ why }) =>
      paint('red', `WARNING: ${printable(why)}`),
    ),
  ]
}

function hasSleeperRule({ rules }: Policy): boolean {
  return rules.some(({ state }) => state.startsWith('idle in transaction'))
}

function showNext({ report, policyName = INCIDENT }: Shown): string[] {
  if (report.wouldReap.length === 0) return []
  return ['', `No session was ended. To end them, add: --reap --policy ${printable(policyName)}`]
}

function showServer({ target, server, entry, durationMs, slots, sessions }: Report): string[] {
  const { version } = server
  const counted: [number, string][] = [
    [sessions.active, 'active'],
    [sessions.idle, 'idle'],
    [sessions.idleInTransaction, 'idle in transaction'],
    [sessions.idleInTransactionAborted, 'aborted'],
    [sessions.other, 'other'],
  ]
  const states = counted.filter(([count]) => count > 0).map(([count, state]) => `${count} ${state}`)
  return [
    '',
    `${printable(target)}, PostgreSQL ${Math.floor(version / 10000)}.${version % 10000}, connected ${entryWords[entry]}, ${durationMs} ms`,
    `${slotsBar(slots, 40)}  ${slots.usedPercent} %: ${slots.used} of ${slots.max - slots.reserved} slots (+ ${slots.reserved} reserved)`,
    `${sessions.total} sessions: ${states.join(', ')}`,
  ]
}

function showRules({ mode, rules, wouldReap }: Report, policy: Policy): string[] {
  const described = new Map(policy.rules.map((rule) => [rule.name, describeRule(rule)]))
  const condemned = (name: string) => wouldReap.filter(({ rule }) => rule === name).length
  return [
    '',
    paint('bold', 'Rules (the first rule that a session matches decides)'),
    table(
      ['rule', 'selects', '>matched', 'due', mode === 'observe' ? '>would reap' : '>reaped'],
      rules
        .filter(({ name, matched }) => described.has(name) || matched > 0)
        .map(({ name, matched, due, reaped }) => [
          name,
          described.get(name) ?? 'left by an earlier run of Slotkeeper',
          String(matched),
          due ? 'yes' : 'no',
          String(mode === 'observe' ? condemned(name) : reaped),
        ]),
    ),
  ]
}

/** The entries of the policy that match no session: a mistake, or their sessions are not connected now. */
function showUnmatched(report: Report, policy: Policy, all: boolean): string[] {
  // A scope that matches no session has a warning of its own.
  const unmatched = report.unmatched.filter((path) => report.inScope > 0 || !/^scope/.test(path))
  const shown = all ? unmatched : unmatched.slice(0, MOST_LINES)
  const rest = unmatched.length - shown.length
  return [
    ...shown.map((path) =>
      paint('yellow', `No session matches ${printable(showEntry(policy, path))}.`),
    ),
    ...(rest > 0
      ? [`No session matches ${rest} more entries of the policy (--all lists them).`]
      : []),
  ]
}

function describeRule({ state, olderThan, when, action }: Rule): string {
  const conditions = [
    ...(when?.idleOver === undefined ? [] : [`more than ${when.idleOver} are idle`]),
    ...(when?.slotsUsedOver === undefined
      ? []
      : [`more than ${when.slotsUsedOver} % of the slots are used`]),
  ]
  const once = conditions.length > 0 ? `, if ${conditions.join(' and ')}` : ''
  return `${state} for ${age(olderThan)}${once}${action === 'cancel' ? ' (cancel)' : ''}`
}

function showVictims({ report, verdicts, all }: Shown): string[] {
  const isObserved = report.mode === 'observe'
  const victims = isObserved ? report.wouldReap : report.reaped
  if (victims.length === 0)
    return ['', isObserved ? 'Would reap no session.' : 'Reaped no session.']
  const title = paint(
    isObserved ? 'cyan' : 'green',
    `${isObserved ? 'Would reap' : 'Reaped'} ${victims.length}`,
  )
  const whyOf = new Map(verdicts.map(({ session, why }) => [session.pid, why]))
  const rows = all
    ? victims.map((victim) => [
        String(victim.pid),
        victim.rule,
        ...poolCells(victim),
        whyOf.get(victim.pid) ?? '',
      ])
    : groupBy(victims, (victim) => `${poolOf(victim)}\0${victim.rule}`).map(([, members]) => [
        String(members.length),
        members[0].rule,
        span(members.map(({ ageSeconds }) => ageSeconds)),
        ...poolCells(members[0]),
      ])
  const head = all
    ? ['>pid', 'rule', ...POOL_HEAD, 'why']
    : ['>sessions', 'rule', '>in state for', ...POOL_HEAD]
  return ['', title, table(head, all ? rows : byCount(rows))]
}

function showSpared({ report, verdicts, all }: Shown): string[] {
  const spared = verdicts.filter((verdict) => verdict.verdict === 'spare')
  const late = lateLines(report, spared)
  if (spared.length === 0) return late.length > 0 ? ['', ...late] : []
  const title = paint('cyan', `Spared ${spared.length} that matched a rule`)
  if (all) {
    const rows = spared.map(({ session, rule, why }) => [
      String(session.pid),
      rule,
      ...poolCells(session),
      why,
    ])
    return ['', title, table(['>pid', 'rule', ...POOL_HEAD, 'why'], rows), ...late]
  }
  const words = ({ reason, why }: (typeof spared)[number]) =>
    reason === 'protected' ? why : reason
  const groups = groupBy(spared, (one) => `${poolOf(one.session)}\0${one.rule}\0${words(one)}`)
  const rows = groups.map(([, members]) => [
    String(members.length),
    members[0].rule,
    ...poolCells(members[0].session),
    words(members[0]),
  ])
  return ['', title, table(['>sessions', 'rule', ...POOL_HEAD, 'reason'], byCount(rows)), ...late]
}

function showRefused({ report, verdicts, all }: Shown): string[] {
  if (report.refused.length === 0) return []
  const byPid = new Map(verdicts.map(({ session }) => [session.pid, session]))
  const refused = report.refused.map((refusal) => ({
    ...refusal,
    pool: poolFields(byPid.get(refusal.pid) ?? UNKNOWN),
  }))
  const groups = all
    ? refused.map((refusal) => [refusal] as const)
    : groupBy(refused, ({ pool, sqlstate }) => `${poolOf(pool)}\0${sqlstate}`).map(([, of]) => of)
  const rows = groups.map((members) => [
    String(all ? members[0].pid : members.length),
    members[0].sqlstate,
    ...poolCells(members[0].pool),
  ])
  const messages = new Set(refused.map(({ sqlstate, message }) => `${sqlstate}: ${message}`))
  return [
    '',
    paint('red', `Refused ${refused.length}`),
    table([all ? '>pid' : '>sessions', 'sqlstate', ...POOL_HEAD], all ? rows : byCount(rows)),
    ...[...messages].map(printable),
  ]
}

const UNKNOWN: Pool = { user: null, database: null, application: '', client: '' }

/** Sorts rows by the count in their first cell, the greatest first. */
function byCount(rows: string[][]): string[][] {
  return [...rows].sort((a, b) => Number(b[0]) - Number(a[0]))
}

/** The range of ages, or one age if all are shown alike. */
export function span(ages: number[]): string {
  const [least, most] = [age(-greatest(ages.map((seconds) => -seconds))), age(greatest(ages))]
  return least === most ? most : `${least} to ${most}`
}

/** Why a session that the policy selected was spared after the snapshot. */
const lateWords = {
  changed: 'changed after the snapshot',
  gone: 'had already ended',
  advisoryLock: 'took an advisory lock after the snapshot',
  replicationSlot: 'began to use a replication slot after the snapshot',
  budget: 'the sweep ran out of time; the next sweep continues',
}

function lateLines(report: Report, listed: { reason: string }[]): string[] {
  const reasons = Object.keys(lateWords) as (keyof typeof lateWords)[]
  return reasons.flatMap((reason) => {
    const before = listed.filter((verdict) => verdict.reason === reason).length
    const late = report.spared[reason] - before
    return late > 0 ? [`${late} not reaped: ${lateWords[reason]}`] : []
  })
}
