import type { ClusterSweep, InstanceSweep } from '../lambda/cluster.ts'
import { INCIDENT, type Policy } from '../lambda/core/policy.ts'
import { poolOf } from '../lambda/core/pool.ts'
import type { Report } from '../lambda/core/report.ts'
import { printable } from '../lambda/core/text.ts'
import { SlotkeeperError } from '../lambda/errors.ts'
import { notices } from '../lambda/notices.ts'
import type { TargetSweep } from '../lambda/target.ts'
import { groupBy } from './group.ts'
import { paint, table } from './show.ts'
import { POOL_HEAD, poolCells } from './show-causes.ts'
import { showSweep } from './show-sweep.ts'

type Asked = { policy: Policy; policyName: string | undefined; all: boolean }

type Swept = InstanceSweep & { result: TargetSweep }

const isSwept = (instance: InstanceSweep): instance is Swept =>
  !(instance.result instanceof SlotkeeperError)

/** The instances of a cluster side by side, then what was or would be reaped; with `all` also each one in full. */
export function showCluster({ report, instances }: ClusterSweep, asked: Asked): string {
  const swept = instances.filter(isSwept)
  const { target, mode, durationMs } = report
  return [
    headline(mode, swept, asked),
    ...swept.flatMap(({ id, result: { snapshot, report: own } }) =>
      notices(snapshot, asked.policy, own).map(({ why }) =>
        paint('red', `WARNING: ${printable(`${id}: ${why}`)}`),
      ),
    ),
    '',
    `${printable(target)}, ${instances.length} instances, ${durationMs} ms`,
    table(HEAD(mode), instances.map(row)),
    ...instances.flatMap(({ id, result }) =>
      result instanceof SlotkeeperError
        ? [paint('red', printable(`${id}: ${result.kind}: ${result.message}`))]
        : [],
    ),
    ...showVictims(mode, swept),
    ...(asked.all ? swept.flatMap((one) => inFull(one, asked)) : []),
  ].join('\n')
}

function headline(mode: Report['mode'], swept: Swept[], { policyName }: Asked): string {
  const count = (of: (report: Report) => number) =>
    swept.reduce((sum, { result }) => sum + of(result.report), 0)
  const sessions = count((report) => report.sessions.total)
  const refused = count((report) => report.refused.length)
  const by =
    policyName === undefined ? `"${INCIDENT}", as no policy was given` : printable(policyName)
  const done =
    mode === 'observe'
      ? `would reap ${count((report) => report.wouldReap.length)}`
      : `reaped ${count((report) => report.reaped.length)}`
  const alsoRefused = refused > 0 ? `, ${refused} refused` : ''
  return paint('bold', `${mode}, policy ${by}: ${done} of ${sessions} sessions${alsoRefused}`)
}

const HEAD = (mode: Report['mode']) => [
  'instance',
  'role',
  '>used %',
  '>slots used',
  '>active',
  '>idle',
  '>in transaction',
  mode === 'observe' ? '>would reap' : '>reaped',
  '>refused',
  '>ms',
]

function row({ id, isWriter, result, durationMs }: InstanceSweep): string[] {
  const role = isWriter ? 'writer' : 'reader'
  if (result instanceof SlotkeeperError) {
    return [id, role, ...Array<string>(7).fill('-'), String(durationMs)]
  }
  const { slots, sessions, mode, reaped, wouldReap, refused } = result.report
  const counts = [
    sessions.active,
    sessions.idle,
    sessions.idleInTransaction + sessions.idleInTransactionAborted,
    mode === 'observe' ? wouldReap.length : reaped.length,
    refused.length,
    durationMs,
  ]
  return [
    id,
    role,
    String(slots.usedPercent),
    `${slots.used} of ${slots.max - slots.reserved}`,
    ...counts.map(String),
  ]
}

function showVictims(mode: Report['mode'], swept: Swept[]): string[] {
  const victims = swept.flatMap(({ id, result: { report } }) =>
    (mode === 'observe' ? report.wouldReap : report.reaped).map((victim) => ({ id, victim })),
  )
  const [title, none] =
    mode === 'observe' ? ['Would reap', 'Would reap no session.'] : ['Reaped', 'Reaped no session.']
  if (victims.length === 0) return ['', none]
  const groups = groupBy(victims, ({ id, victim }) => `${id}\0${poolOf(victim)}\0${victim.rule}`)
  const rows = groups.map(([, members]) => [
    String(members.length),
    members[0].id,
    members[0].victim.rule,
    ...poolCells(members[0].victim),
  ])
  return [
    '',
    paint(mode === 'observe' ? 'cyan' : 'green', `${title} ${victims.length}`),
    table(['>sessions', 'instance', 'rule', ...POOL_HEAD], rows),
  ]
}

function inFull({ result }: Swept, asked: Asked): string[] {
  const waiting = 'sweep the instance alone to see which sessions wait for others'
  return ['', showSweep({ ...result, ...asked, waiting })]
}
