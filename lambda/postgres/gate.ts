import type { Credentials, ReadCredentials } from '../core/credentials.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import type { Link } from './connect.ts'
import type { Tls } from './tls.ts'

/** A whole sweep: well under the half minute, whatever the server does. */
export const SWEEP_MS = 18_000

const CONNECT_TIMEOUT_MS = 5_000

/** The ways into one target, and the connection that is kept between its sweeps. */
export type Gate = {
  /** The connection kept from the last sweep, if it still stands; taken, it is the caller's. */
  takeWarm(): Link | undefined
  /** A new connection: as a client, or through a walsender's slot where clients' slots are taken. */
  open(deadline: Deadline): Promise<Link>
  /** Keeps a client's connection for the next sweep; a walsender's slot is given back at once. */
  giveBack(link: Link): Promise<void>
  /** Whether the last opening met a full server (53300), let in or not. */
  metFullServer(): boolean
  close(): Promise<void>
}

/** A point in time on the clock of `performance.now()`, ms. */
export type Deadline = { atMs: number }

export function deadlineIn(ms: number): Deadline {
  return { atMs: performance.now() + ms }
}

/** What is left until the deadline, at most `capMs`, at least 1 ms. */
export function remaining(deadline: Deadline, capMs: number): number {
  return Math.max(1, Math.min(capMs, Math.floor(deadline.atMs - performance.now())))
}

export function createGate(readCredentials: ReadCredentials, tls: Tls): Gate {
  let kept: Link | undefined
  let full = false

  /** A rotated password shows itself as a refusal: the secret is read once more, and once only. */
  async function knock(entry: 'client' | 'walsender', deadline: Deadline): Promise<Link> {
    const attempt = async (fresh: boolean) => {
      // Loaded while the secret is on its way.
      const [credentials, { connect }] = await Promise.all([
        readCredentials(fresh),
        import('./connect.ts'),
      ])
      return inEitherDatabase(credentials, (chosen) =>
        connect(chosen, tls, entry, remaining(deadline, CONNECT_TIMEOUT_MS)),
      )
    }
    try {
      return await attempt(false)
    } catch (error) {
      if (!(error instanceof SlotkeeperError) || error.kind !== 'authentication') throw error
      return attempt(true)
    }
  }

  return {
    takeWarm() {
      const link = kept?.alive() ? kept : undefined
      kept = undefined
      full = false
      return link && { ...link, entry: 'warm' }
    },
    async open(deadline) {
      full = false
      try {
        return await knock('client', deadline)
      } catch (error) {
        if (!(error instanceof SlotkeeperError) || error.kind !== 'exhausted') throw error
        full = true
        return await knock('walsender', deadline).catch((second) => {
          throw noWayIn(error, second)
        })
      }
    },
    async giveBack(link) {
      if (link.entry !== 'walsender' && link.alive()) kept = link
      else await link.close()
    },
    metFullServer: () => full,
    async close() {
      await kept?.close()
      kept = undefined
    },
  }
}

/**
 * Connects, with the second database where it is the first one that the role is not let into.
 * @throws SlotkeeperError that names both where both refuse
 */
export async function inEitherDatabase<T>(
  credentials: Credentials,
  attempt: (credentials: Credentials) => Promise<T>,
): Promise<T> {
  const { secondDatabase, ...first } = credentials
  try {
    return await attempt(first)
  } catch (error) {
    if (secondDatabase === undefined || !isOfDatabase(error)) throw error
    return attempt({ ...first, database: secondDatabase }).catch((second) => {
      if (!isOfDatabase(second)) throw second
      throw new SlotkeeperError(second.kind, `${error.message} ${second.message}`, {
        cause: second,
      })
    })
  }
}

/**
 * Whether another database may be open to the role: this one does not exist, is closed, lets it not
 * in or is at its limit (postinit.c, CheckMyDatabase), or pg_hba.conf has no line for it.
 */
function isOfDatabase(error: unknown): error is SlotkeeperError {
  if (!(error instanceof SlotkeeperError)) return false
  const { code, routine } = (error.cause ?? {}) as { code?: string; routine?: string }
  if (code === '3D000' || routine === 'CheckMyDatabase') return true
  return code === '28000' && routine === 'ClientAuthentication'
}

function noWayIn(first: SlotkeeperError, second: unknown): SlotkeeperError {
  return new SlotkeeperError(
    'exhausted',
    `${first.message} The way in through a walsender's slot failed too: ${messageOf(second)} ` +
      'To let the sweep in next time, give its role REPLICATION (on RDS: GRANT rds_replication TO the role), ' +
      'or on PostgreSQL 16 and later GRANT pg_use_reserved_connections TO it and set reserved_connections. ' +
      'Now: end sessions as a superuser (on RDS: the master user), or restart the application.',
    { cause: first },
  )
}
