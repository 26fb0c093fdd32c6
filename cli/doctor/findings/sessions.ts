import { nameApplication } from '../advice.ts'
import { type Case, isLarge } from '../case.ts'
import type { Finding } from '../diagnosis.ts'
import { isPooler } from '../recognise.ts'
import { endIdleNow } from '../remedies.ts'
import { nameOf, ownerOf, plural, round } from '../words.ts'

/** So many unused sessions are not somebody's open console any more. */
const MANY_UNUSED = 3

/** Sessions that ran no query since they connected, over a minute ago. */
export function findNeverUsed(now: Case): Finding[] {
  const { fleets, usable } = now
  return fleets.flatMap((fleet): Finding[] => {
    const { neverUsedOverMinute: unused, members } = fleet.usage
    if (unused === 0 || isPooler(fleet.recognised)) return []
    return [
      {
        id: 'never-used',
        severity: unused >= Math.max(MANY_UNUSED, usable / 20) ? 'warning' : 'info',
        title: `${plural(unused, 'session')} of ${nameOf(fleet)} ran no query since connecting, over a minute ago`,
        evidence: { neverUsed: unused, sessions: members.length },
        pool: fleet.pool,
        remedies: [
          {
            kind: 'application',
            text: 'minimum pool size (minimumIdle, min_size, min): 0 or 1; connect at the first query and not at the start',
            why: `A pool opens them in advance, or a process connects and never runs a query: ${unused} of ${members.length} sessions of ${ownerOf(fleet.pool)} have not been used so far.`,
          },
          ...(unused >= MANY_UNUSED ? endIdleNow(now, fleet) : []),
        ],
      },
    ]
  })
}

/** A large pool that gives itself no name, so that nobody can tell what it is and no policy can name it. */
export function findUnnamed({ fleets, usable }: Case): Finding[] {
  return fleets
    .filter(
      ({ usage, pool, recognised }) =>
        pool.application === '' && isLarge(usage.members.length, usable) && !isPooler(recognised),
    )
    .map((fleet) => ({
      id: 'unnamed' as const,
      severity: 'info' as const,
      title: `${plural(fleet.usage.members.length, 'session')} of ${nameOf(fleet)} have no application name`,
      evidence: { sessions: fleet.usage.members.length, clients: fleet.clients },
      pool: fleet.pool,
      remedies: [
        {
          kind: 'application' as const,
          text: nameApplication(fleet.recognised.framework),
          why: 'Only a name tells a queue worker from the web: here, in the log, and in a policy.',
        },
      ],
    }))
}

/** Below these numbers it is chance. */
const LEAST_ABANDONED = 10
const ABANDONED_SHARE = 0.1
/** The server looks for a dead client after this many seconds of silence. */
const KEEPALIVE_SECONDS = 60

/** The share of the sessions of a database whose client vanished without a goodbye. */
export function findAbandoned({ last, observed }: Case): Finding[] {
  const isRds = (observed.facts.settings?.kind ?? 'community') !== 'community'
  return last.counters.flatMap(({ database, abandoned, sessions }): Finding[] => {
    const share = sessions > 0 ? abandoned / sessions : 0
    if (abandoned < LEAST_ABANDONED || share < ABANDONED_SHARE) return []
    const percent = round(share * 100)
    return [
      {
        id: 'abandoned',
        severity: 'warning',
        title: `${percent} % of the sessions of database ${database} lost their client: it vanished without closing them (${abandoned} of ${sessions})`,
        evidence: { database, abandoned, sessions, percent },
        remedies: [
          {
            kind: isRds ? 'parameter' : 'sql',
            text: isRds
              ? `tcp_keepalives_idle = ${KEEPALIVE_SECONDS}`
              : `ALTER SYSTEM SET tcp_keepalives_idle = ${KEEPALIVE_SECONDS};\nSELECT pg_reload_conf();`,
            why: `These are the ones that the server noticed. It looks for a client that is silent after 2 h by default, and holds the slot until then. With this it looks after ${KEEPALIVE_SECONDS} s. It never ends a session whose host answers.`,
          },
          {
            kind: 'application',
            text: 'close the pool when the process gets SIGTERM, and give it time before SIGKILL',
            why: 'Killed processes, crashed hosts and frozen functions leave sessions behind.',
          },
        ],
      },
    ]
  })
}
