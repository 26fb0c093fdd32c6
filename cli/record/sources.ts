import { instanceTarget } from '../../lambda/core/cluster-report.ts'
import { type Memory, recall, remember } from '../../lambda/core/memory.ts'
import { type Snapshot, withHolders } from '../../lambda/core/session.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { createGate, deadlineIn, remaining } from '../../lambda/postgres/gate.ts'
import { readHolders } from '../../lambda/postgres/locks.ts'
import { openCluster } from '../cluster-option.ts'
import type { Connection } from '../connection.ts'
import { asFailure, LOOK_MS, lookOnce, type Read } from '../looks.ts'

/** A snapshot of one server, or why there is none. */
export type Seen = { target: string; answer: Snapshot | SlotkeeperError }

/** Where snapshots come from. */
export type Source = {
  /**
   * Looks at each server once, side by side. A server that is gone is left out.
   * @throws SlotkeeperError if it is not known which servers there are
   */
  look(): Promise<Seen[]>
  close(): Promise<void>
}

const HOLDERS_MS = 5_000

/** The server that the connection leads to. */
export function openServer({ target, credentials, tls }: Connection): Source {
  const gate = createGate(credentials, tls)
  const read = createReader()
  return {
    look: async () => [{ target, answer: await lookOnce(gate, read) }],
    close: gate.close,
  }
}

/** Each instance that the cluster has at the time of a look. */
export function openInstances(connection: Connection): Source {
  const members = openCluster(connection)
  let readers = new Map<string, Read<Snapshot>>()
  const seen = (id: string, answer: Seen['answer']): Seen => ({
    target: instanceTarget(connection.target, id),
    answer,
  })
  return {
    async look() {
      const list = await members.list(deadlineIn(LOOK_MS)).catch(asFailure)
      if (list instanceof SlotkeeperError) {
        const known = members.known()
        if (known.length === 0) throw list
        return known.map((id) => seen(id, list))
      }
      readers = new Map(list.members.map(({ id }) => [id, readers.get(id) ?? createReader()]))
      const [looked] = await Promise.all([
        Promise.all(
          list.members.map(async ({ id, gate }) =>
            seen(id, await lookOnce(gate, readers.get(id) as Read<Snapshot>)),
          ),
        ),
        members.settled(),
      ])
      return looked
    },
    close: () => members.close(),
  }
}

/** Like the function: each snapshot has the holders, and what earlier snapshots showed. */
function createReader(): Read<Snapshot> {
  let memory: Memory | undefined
  return async (link, seen, deadline) => {
    const whole = recall(memory, seen)
    memory = remember(whole)
    return withHolders(whole, await readHolders(link, remaining(deadline, HOLDERS_MS)))
  }
}
