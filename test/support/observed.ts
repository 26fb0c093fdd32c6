import type { RoleFacts } from '../../cli/doctor/facts.ts'
import type { Form } from '../../cli/doctor/last-query.ts'
import type { Facts, Look, Observed } from '../../cli/doctor/observe.ts'
import { identityOf, type Session, type Snapshot } from '../../lambda/core/session.ts'
import { snapshot } from './session.ts'

const AT_MS = 1_767_225_600_000

type Differences = Partial<Omit<Look, 'snapshot'>> & {
  snapshot?: Partial<Snapshot>
  form?: Form
  facts?: Partial<Facts>
}

/** Looks of the role `reaper`, a second apart, at a community server of 100 slots whose roles have no limits. */
export function observed(looks: Session[][], different: Differences = {}): Observed {
  const [first, ...later] = looks.map((sessions, index): Look => {
    const traces = sessions.map(
      (session) =>
        [
          identityOf(session),
          { form: different.form ?? 'other', neverUsed: false, waitsForLock: false },
        ] as const,
    )
    return {
      traces: different.traces ?? new Map(traces),
      waiting: different.waiting ?? [],
      counters: different.counters ?? [],
      refused: different.refused ?? false,
      snapshot: snapshot(sessions, { atMs: AT_MS + index * 1000, ...different.snapshot }),
    }
  })
  const users = [...new Set(['reaper', ...looks.flat().map(({ user }) => user ?? '')])]
  return {
    target: 'shop',
    looks: [first as Look, ...later],
    failures: [],
    facts: {
      settings: {
        kind: 'community',
        upSeconds: 86_400,
        reservedConnections: 0,
        values: {
          idle_session_timeout: 0,
          idle_in_transaction_session_timeout: 0,
          max_wal_senders: 10,
          shared_buffers: 128 * 1024 ** 2,
          work_mem: 4 * 1024 ** 2,
        },
      },
      roles: {
        roles: users.map((name) => role(name)),
        granted: ['pg_monitor', 'pg_signal_backend'],
        databases: [{ name: 'shop', limit: -1 }],
        overrides: [],
      },
      holders: { advisoryLocks: new Set(), replicationSlots: new Set() },
      missing: [],
      throughPooler: false,
      ...different.facts,
    },
  }
}

/** An ordinary role without a limit. */
export function role(name: string, different: Partial<RoleFacts> = {}): RoleFacts {
  return {
    name,
    bootstrap: false,
    superuser: false,
    createRole: false,
    createDatabase: false,
    bypassRls: false,
    replication: name === 'reaper',
    limit: -1,
    canLogIn: true,
    master: false,
    own: name === 'reaper',
    ...different,
  }
}
