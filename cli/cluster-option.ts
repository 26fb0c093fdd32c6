import type { Command } from 'commander'
import { SlotkeeperError } from '../lambda/errors.ts'
import { createMembers, type Members } from '../lambda/members.ts'
import type { Connection } from './connection.ts'

/** The option of every command that can look at all instances of a cluster. */
export function withCluster(command: Command): Command {
  return command.option(
    '--cluster',
    'the host is the endpoint of an Aurora cluster: do the same for each of its instances',
  )
}

/**
 * The instances of the cluster that the connection leads to. The role, its password and the port are the same for
 * all of them; each has a name and a certificate of its own.
 * @param unpinned settings that keep the value they have for the role
 */
export function openCluster({ credentials, tls }: Connection, unpinned: string[] = []): Members {
  return createMembers(
    (host) => async (fresh) => {
      const place = await credentials(fresh)
      if (place.address !== undefined) {
        throw new SlotkeeperError(
          'settings',
          '--cluster: hostaddr leads every name to one address, but each instance has its own; expected no hostaddr',
        )
      }
      return host === undefined ? place : { ...place, host }
    },
    tls,
    { unpinned },
  )
}
