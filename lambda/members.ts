import { type ClusterHost, instanceHost, readClusterHost, readerHost } from './core/cluster-host.ts'
import type { CredentialsFor } from './core/credentials.ts'
import type { Instance } from './core/instances.ts'
import { messageOf, SlotkeeperError } from './errors.ts'
import { loadLate } from './load-late.ts'
import type { Link } from './postgres/connect.ts'
import { createGate, type Deadline, type Gate, remaining } from './postgres/gate.ts'
import type { Identity, InstanceList } from './postgres/instances.ts'
import type { Tls } from './postgres/tls.ts'

/** One instance of a cluster, and the way to it. */
export type Member = Instance & { gate: Gate }

/** The instances of a cluster at one moment. */
export type MemberList = {
  /** By the clock of the instance that answered, ms since the epoch. */
  atMs: number
  members: Member[]
}

/** The members of a cluster, and the connections that are kept to each of them. */
export type Members = {
  /**
   * Asks any instance for all of them. One that is gone is forgotten, and its connection closed.
   * @throws SlotkeeperError if no instance gives a list
   */
  list(deadline: Deadline): Promise<MemberList>
  /** The endpoint by which the cluster was given. @throws SlotkeeperError */
  host(): Promise<ClusterHost>
  /** The names of the members that were listed last. */
  known(): string[]
  /** Waits until no attempt to ask for the list is under way. It takes no longer than the deadline of `list`. */
  settled(): Promise<void>
  /** Closes the kept connections: all, or that to one member. */
  close(id?: string): Promise<void>
}

/** Less than a new connection may take: the kept connection may have died unnoticed. */
const WARM_ASK_MS = 3_000
const ASK_MS = 5_000

/**
 * The members of the Aurora cluster to whose endpoint the credentials lead. It connects when it is first asked.
 * @param onlyEndpoint if no kept connection answers, ask the cluster's endpoint alone: a new connection to another
 *   instance could wake it
 * @param unpinned settings that keep the value they have for the role, in the connections to the instances
 */
export function createMembers(
  credentials: CredentialsFor,
  tls: Tls,
  { onlyEndpoint = false, unpinned = [] }: { onlyEndpoint?: boolean; unpinned?: string[] } = {},
): Members {
  let kept = new Map<string, Member>()
  const identities = new Map<string, Identity>()
  let asking: Promise<unknown> = Promise.resolve()

  async function host(): Promise<ClusterHost> {
    const read = readClusterHost((await credentials()(false)).host)
    if (read.ok) return read.value
    throw new SlotkeeperError('settings', `host of the cluster: ${read.problems.join('; ')}`)
  }

  /** Over the first kept connection that is alive, the writer's first. Undefined if it gives no list. */
  async function askWarm(deadline: Deadline): Promise<InstanceList | undefined> {
    const warm = takeFirstWarm(kept.values())
    if (warm === undefined) return undefined
    const { gate, link } = warm
    try {
      return await ask(link, remaining(deadline, WARM_ASK_MS))
    } catch (error) {
      if (error instanceof SlotkeeperError) return undefined
      throw error
    } finally {
      await gate.giveBack(link)
    }
  }

  /**
   * Over new connections to the cluster's endpoint and to the known readers at once; the first list wins. After a
   * failover the endpoint's name may lead to the old writer, or to nothing, for a while. A writer that is full or
   * hangs must not keep the readers from being swept, so in a new environment a reader is asked next.
   */
  async function askAnew(cluster: ClusterHost, deadline: Deadline): Promise<InstanceList> {
    const readers = [...kept.values()].filter(({ isWriter }) => !isWriter)
    const known = onlyEndpoint ? [] : readers.map(({ id }) => instanceHost(cluster, id))
    try {
      return await askAnyOf([cluster.host, ...known], deadline)
    } catch (error) {
      const [first] = (error as AggregateError).errors
      const reader = readerHost(cluster)
      if (onlyEndpoint || reader === undefined || !mayAnswerElsewhere(first)) {
        throw noList(cluster, first)
      }
      return await askAnyOf([reader], deadline).catch(() => {
        throw noList(cluster, first)
      })
    }
  }

  /** @throws AggregateError with the errors in the order of the hosts */
  function askAnyOf(hosts: string[], deadline: Deadline): Promise<InstanceList> {
    const attempts = hosts.map(async (at) => {
      const link = await createGate(credentials(at), tls).open(deadline)
      try {
        return await ask(link, remaining(deadline, ASK_MS))
      } finally {
        await link.close()
      }
    })
    asking = Promise.allSettled(attempts)
    return Promise.any(attempts)
  }

  /** A gate that makes sure that a new connection leads to the instance that it names. */
  function gateOf(cluster: ClusterHost, id: string): Gate {
    const at = instanceHost(cluster, id)
    const gate = createGate(credentials(at), tls, unpinned)
    return {
      ...gate,
      async open(deadline) {
        const link = await gate.open(deadline)
        try {
          const { identify } = await loadLate()
          admit(id, at, await identify(link, remaining(deadline, ASK_MS)))
          return link
        } catch (error) {
          await link.close()
          throw error
        }
      },
    }
  }

  /** Refuses a server that is another instance: its sessions would be judged twice, and under a wrong name. */
  function admit(id: string, at: string, identity: Identity): void {
    identities.set(id, identity)
    const other =
      'id' in identity
        ? identity.id !== id && identity.id
        : [...identities].find(
            ([name, one]) => name !== id && 'start' in one && one.start === identity.start,
          )?.[0]
    if (!other) return
    identities.delete(id)
    throw new SlotkeeperError(
      'unreachable',
      `${at} leads to instance ${other}, not to ${id}. Nothing was ended there. The name server may still have an old address, for example after a failover, a rename or a blue/green switchover: look again in a minute.`,
    )
  }

  return {
    host,
    async list(deadline) {
      const cluster = await host()
      const { atMs, instances } = (await askWarm(deadline)) ?? (await askAnew(cluster, deadline))
      const before = kept
      kept = new Map(
        instances.map((instance) => [
          instance.id,
          { ...instance, gate: before.get(instance.id)?.gate ?? gateOf(cluster, instance.id) },
        ]),
      )
      const gone = [...before.values()].filter(({ id }) => !kept.has(id))
      for (const { id } of gone) identities.delete(id)
      await Promise.all(gone.map(({ gate }) => gate.close()))
      return { atMs, members: [...kept.values()] }
    },
    known: () => [...kept.keys()],
    async settled() {
      await asking
    },
    async close(id) {
      const some = [...kept.values()].filter((member) => id === undefined || member.id === id)
      await Promise.all(some.map(({ gate }) => gate.close()))
    },
  }
}

/** Takes one connection. The others stay where they are. */
function takeFirstWarm(members: Iterable<Member>): { gate: Gate; link: Link } | undefined {
  for (const { gate } of members) {
    const link = gate.takeWarm()
    if (link !== undefined) return { gate, link }
  }
  return undefined
}

async function ask(link: Link, timeoutMs: number): Promise<InstanceList> {
  const { findInstances } = await loadLate()
  return findInstances(link, timeoutMs)
}

/** Whether another instance may answer although this one failed. */
function mayAnswerElsewhere(error: unknown): boolean {
  const kinds = ['exhausted', 'limited', 'unreachable']
  return error instanceof SlotkeeperError && kinds.includes(error.kind)
}

/** The failure of the cluster's endpoint counts. */
function noList({ host }: ClusterHost, error: unknown): SlotkeeperError {
  return new SlotkeeperError(
    error instanceof SlotkeeperError ? error.kind : 'unexpected',
    `the instances of the cluster ${host} are not known, so none was swept: ${messageOf(error)}`,
    { cause: error },
  )
}
