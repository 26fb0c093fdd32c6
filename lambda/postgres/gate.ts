import type { Credentials, ReadCredentials } from '../core/credentials.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import { loadLate } from '../load-late.ts'
import type { Link } from './connect.ts'
import type { Tls } from './tls.ts'

/** The time for a whole sweep, ms: well under half a minute, whatever the server does. */
export const SWEEP_MS = 18_000

/** For one login, ms. */
export const CONNECT_TIMEOUT_MS = 5_000

/** The ways to connect to one target, and the connection that is kept between its sweeps. */
export type Gate = {
  /**
   * The connection kept from the last sweep, if it is still alive. The caller must give it back or close it.
   */
  takeWarm(): Link | undefined
  /**
   * Opens a new connection: as a client, or through a walsender's slot if every client slot is taken.
   * @throws SlotkeeperError
   */
  open(deadline: Deadline): Promise<Link>
  /** Keeps a client connection for the next sweep, and closes a walsender connection at once. */
  giveBack(link: Link): Promise<void>
  /**
   * Whether the last `open` found the server full (53300), even if it then got in through a walsender's slot.
   */
  metFullServer(): boolean
  /** Closes the kept connection. */
  close(): Promise<void>
}

/** A point in time on the clock of `performance.now()`, ms. */
export type Deadline = { atMs: number }

/** The deadline that is `ms` milliseconds from now. */
export function deadlineIn(ms: number): Deadline {
  return { atMs: performance.now() + ms }
}

/** The time left until the deadline, ms: at most `capMs`, at least 1. */
export function remaining(deadline: Deadline, capMs: number): number {
  return Math.max(1, Math.min(capMs, Math.floor(deadline.atMs - performance.now())))
}

/**
 * Creates a gate without a connection. It reads the credentials when it first connects.
 * @param unpinned settings that keep the value they have for the role
 */
export function createGate(
  readCredentials: ReadCredentials,
  tls: Tls,
  unpinned: string[] = [],
): Gate {
  let kept: Link | undefined
  let full = false

  /**
   * If the server refuses the login, the password may have been rotated: reads the secret again and retries
   * once.
   */
  async function connectAs(entry: 'client' | 'walsender', deadline: Deadline): Promise<Link> {
    const attempt = async (fresh: boolean) => {
      // Load the driver while the secret is being read.
      const [credentials, { connect }] = await Promise.all([readCredentials(fresh), loadLate()])
      return inEitherDatabase(credentials, (chosen) =>
        connect(chosen, tls, entry, remaining(deadline, CONNECT_TIMEOUT_MS), unpinned),
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
        return await connectAs('client', deadline)
      } catch (error) {
        if (!(error instanceof SlotkeeperError) || error.kind !== 'exhausted') throw error
        full = true
        return await connectAs('walsender', deadline).catch((second) => {
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
 * Connects to the first database, or to the second one if the role may not connect to the first.
 * @throws SlotkeeperError; if both databases refuse, the error names both
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
 * Whether another database may accept the role. True if this database does not exist, takes no
 * connections, refuses the role or is at its limit (CheckMyDatabase in postinit.c), or if pg_hba.conf has no
 * line for it.
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
