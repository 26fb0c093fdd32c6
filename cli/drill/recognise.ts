import { CLIENT_LIBRARIES, type ClientLibrary } from '../clients.ts'

/**
 * Finds the library that an application uses. What its sessions show counts more than the words of its command, and
 * these more than the dependencies of its project, which may have several libraries.
 * @param shown the `id` of each library that a session showed
 * @param dependencies names of packages, as the project's manifest writes them
 */
export function recognise(
  shown: ReadonlySet<string>,
  command: string[],
  dependencies: string[],
): Omit<ClientLibrary, 'signs'> | null {
  const words = command.join(' ')
  const ways: ((library: ClientLibrary) => boolean)[] = [
    ({ id }) => shown.has(id),
    ({ signs }) => signs.command?.test(words) ?? false,
    ({ signs }) => dependencies.some((name) => signs.dependency?.test(name) ?? false),
  ]
  for (const way of ways) {
    const library = CLIENT_LIBRARIES.find(way)
    if (library === undefined) continue
    const { signs: _, ...known } = library
    return known
  }
  return null
}
