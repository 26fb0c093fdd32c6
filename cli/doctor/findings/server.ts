import { type Case, type Fleet, isMighty, roleOf } from '../case.ts'
import type { Finding, Remedy } from '../diagnosis.ts'
import { identifier } from '../quote.ts'
import { isPooler } from '../recognise.ts'
import { nameOf } from '../words.ts'

/** Programs in which people work. That a person is a superuser is no fault of an application. */
const OF_PEOPLE =
  /^(psql|pgAdmin|DBeaver|DataGrip|TablePlus|Postico|pg_dump|pg_restore|pg_basebackup|slotkeeper)/i

/** With fewer sessions it may be a person. */
const LEAST_OF_APPLICATION = 3

/** An application that connects as a superuser or as the master user of RDS. */
export function findSharedRole(now: Case): Finding[] {
  return now.fleets.flatMap((fleet): Finding[] => {
    const { user, database } = fleet.pool
    const role = roleOf(now, user)
    if (role === undefined || database === null || !isMighty(role) || !isApplication(fleet)) {
      return []
    }
    const { length: sessions } = fleet.usage.members
    const { superuser, master } = role
    return [
      {
        id: 'shared-role',
        severity: 'warning',
        title: `${nameOf(fleet)} is an application and connects as ${superuser ? 'a superuser' : 'the master user'}: no limit holds it, and it can take the reserve`,
        evidence: { role: role.name, superuser, master, sessions },
        pool: fleet.pool,
        remedies: [ownRole(now, database, superuser)],
      },
    ]
  })
}

/** Neither a person nor a part of RDS. */
function isApplication({ pool, usage, recognised }: Fleet): boolean {
  if (usage.members.length < LEAST_OF_APPLICATION || isPooler(recognised)) return false
  return !OF_PEOPLE.test(pool.application ?? '') && !pool.user?.startsWith('rds')
}

function ownRole(now: Case, database: string, superuser: boolean): Remedy {
  const name = newRoleFor(now, database)
  const to = identifier(name)
  return {
    kind: 'sql',
    text: `CREATE ROLE ${to} LOGIN;\nGRANT CONNECT ON DATABASE ${identifier(database)} TO ${to};\nGRANT pg_read_all_data, pg_write_all_data TO ${to};`,
    why: `A role for the application alone, which reads and writes all tables; narrow it to its schemas later. Give it a password in psql, which does not log it: \\password ${name}. Then change the user in the application.${superuser ? ' Slotkeeper never ends sessions of a superuser.' : ''}`,
  }
}

/** A name that no role has yet. */
function newRoleFor({ observed }: Case, database: string): string {
  const taken = new Set(observed.facts.roles?.roles.map(({ name }) => name))
  const base = `${database}_app`
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}${number}`
    if (!taken.has(name)) return name
  }
}

const MIB = 1024 ** 2
/** What a session takes without any sort: its caches and page tables. RDS's formula for max_connections has 9 MB. */
const SESSION_BYTES = 5 * MIB
/** RDS's default limit, LEAST(DBInstanceClassMemory / 9531392, 5000), stays under this by a quarter. */
const MOST_SHARE = 1.25

/**
 * The memory of the machine, bytes. SQL does not show it. As delivered, shared_buffers is a quarter of it on RDS and
 * three quarters on Aurora. NULL where that does not hold.
 */
export function memoryOf({ observed }: Case): number | null {
  const { settings } = observed.facts
  const buffers = settings?.values.shared_buffers
  if (!settings || !buffers || settings.kind === 'community') return null
  return settings.kind === 'aurora' ? (buffers * 4) / 3 : buffers * 4
}

/** How many sessions the memory holds, at work all at once. NULL if the memory is not known. */
export function memoryLimit(now: Case): number | null {
  const memory = memoryOf(now)
  if (memory === null) return null
  const workMem = now.observed.facts.settings?.values.work_mem ?? 4 * MIB
  return Math.floor((memory * MOST_SHARE) / (SESSION_BYTES + workMem))
}

/** More slots than the memory can serve. */
export function findMemory(now: Case): Finding[] {
  const limit = memoryLimit(now)
  const memory = memoryOf(now)
  const { max } = now.slots
  if (limit === null || memory === null || max <= limit) return []
  const megabytes = (bytes: number) => Math.round(bytes / MIB)
  const workMem = now.observed.facts.settings?.values.work_mem ?? null
  const proposed = Math.max(
    Math.floor(limit / MOST_SHARE),
    now.total.peakBusy * 2 + now.slots.reserved,
  )
  return [
    {
      id: 'memory',
      severity: 'warning',
      title: `max_connections of ${max} is more than the memory holds: about ${megabytes(memory)} MB, for about ${Math.floor(limit / MOST_SHARE)} sessions at work`,
      evidence: {
        maxConnections: max,
        memoryMegabytes: megabytes(memory),
        workMemMegabytes: workMem === null ? null : megabytes(workMem),
        sessionsThatFit: Math.floor(limit / MOST_SHARE),
      },
      remedies:
        proposed < max
          ? [
              {
                kind: 'parameter',
                text: `max_connections = ${proposed}`,
                why: `Each session takes 5 MB and one work_mem. The memory is estimated from shared_buffers, which is a ${now.observed.facts.settings?.kind === 'aurora' ? 'three quarters' : 'quarter'} of it as delivered. Change the application first: it needs a restart, and fewer slots refuse more sessions.`,
              },
            ]
          : [],
    },
  ]
}
