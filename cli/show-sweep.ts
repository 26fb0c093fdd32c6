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

/** One sweep, and what the person who asked for it has to know of it. */
export type Shown = {
  report: Report
  snapshot: Snapshot
  verdicts: Verdict[]
  policy: Policy
  /** A file, or the name of a policy; undefined where none was given. */
  policyName: string | undefined
  /** Or why they could not be read. */
  waiting: Waiting[] | string
  /** Each session on a line of its own. */
  all: boolean
}

/** As the person reads it who was just woken: what was done, why it is full, and whom the policy means. */
export function showSweep(shown: Shown): string {
  const { report, snapshot, policy, waiting, all } = shown
  return [
    ...showHeadline(shown),
    ...showServer(report),
    ...showHoldings(snapshot, report.mode === 'observe' ? 'holds' : 'held', all),
    ...showSleepers(snapshot, waiting, report.reaped, all),
    ...(hasSleeperRule(policy) || !snapshot.sessions.some(sleeps)
      ? []
      : ['No rule of this policy is for sessions that idle in a transaction.']),
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
  return ['', `No session was ended. To end them: --reap --policy ${printable(policyName)}`]
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
    `${printable(target)}, PostgreSQL ${Math.floor(version / 10000)}.${version % 10000}, came in ${entryWords[entry]}, ${durationMs} ms`,
    `${slotsBar(slots, 40)}  ${slots.usedPercent} %: ${slots.used} of ${slots.max - slots.reserved} slots (+ ${slots.reserved} reserved)`,
    `${sessions.total} sessions: ${states.join(', ')}`,
  ]
}

function showRules({ mode, rules, wouldReap }: Report, policy: Policy): string[] {
  const described = new Map(policy.rules.map((rule) => [rule.name, describeRule(rule)]))
  const condemned = (name: string) => wouldReap.filter(({ rule }) => rule === name).length
  return [
    '',
    paint('bold', 'Rules, of which the first that a session meets decides'),
    table(
      ['rule', 'meant for', '>matched', 'due', mode === 'observe' ? '>would reap' : '>reaped'],
      rules
        .filter(({ name, matched }) => described.has(name) || matched > 0)
        .map(({ name, matched, due, reaped }) => [
          name,
          described.get(name) ?? 'left by earlier runs of Slotkeeper',
          String(matched),
          due ? 'yes' : 'no',
          String(mode === 'observe' ? condemned(name) : reaped),
        ]),
    ),
  ]
}

/** What of the policy is for nobody: a mistake, or somebody who is not connected now. */
function showUnmatched(report: Report, policy: Policy, all: boolean): string[] {
  // A scope that meets nobody stands in a warning of its own.
  const unmatched = report.unmatched.filter((path) => report.inScope > 0 || !/^scope/.test(path))
  const shown = all ? unmatched : unmatched.slice(0, MOST_LINES)
  const rest = unmatched.length - shown.length
  return [
    ...shown.map((path) =>
      paint('yellow', `No session meets ${printable(showEntry(policy, path))}.`),
    ),
    ...(rest > 0 ? [`Nor ${rest} more entries of the policy (--all lists them).`] : []),
  ]
}

function describeRule({ state, olderThan, when, action }: Rule): string {
  const conditions = [
    ...(when?.idleOver === undefined ? [] : [`more than ${when.idleOver} are idle`]),
    ...(when?.slotsUsedOver === undefined
      ? []
      : [`more than ${when.slotsUsedOver} % of the slots are used`]),
  ]
  const once = conditions.length > 0 ? `, once ${conditions.join(' and ')}` : ''
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
  const title = paint('cyan', `Spared ${spared.length} that met a rule`)
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

/** Rows that begin with a count, the greatest first. */
function byCount(rows: string[][]): string[][] {
  return [...rows].sort((a, b) => Number(b[0]) - Number(a[0]))
}

/** From the shortest to the longest, or the one that both are. */
function span(ages: number[]): string {
  const [least, most] = [age(-greatest(ages.map((seconds) => -seconds))), age(greatest(ages))]
  return least === most ? most : `${least} to ${most}`
}

/** What became of those that were to be reaped, and were spared when their turn came. */
const lateWords = {
  changed: 'changed between the look and the signal',
  gone: 'gone between the look and the signal',
  advisoryLock: 'took an advisory lock between the look and the signal',
  replicationSlot: 'took a replication slot in use between the look and the signal',
  budget: 'not reached before the sweep had to end; the next one goes on',
}

function lateLines(report: Report, listed: { reason: string }[]): string[] {
  const reasons = Object.keys(lateWords) as (keyof typeof lateWords)[]
  return reasons.flatMap((reason) => {
    const before = listed.filter((verdict) => verdict.reason === reason).length
    const late = report.spared[reason] - before
    return late > 0 ? [`${late} ${lateWords[reason]}`] : []
  })
}
