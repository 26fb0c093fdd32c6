import { METHODS, type Method } from '../../lambda/core/credentials.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'

/** Methods of libpq that Slotkeeper does not support. */
const FOREIGN = ['gss', 'sspi', 'oauth']

/**
 * Reads libpq's `require_auth`: a list of methods that the server may ask for, or, with `!` before
 * each, of methods that it may not ask for.
 * @throws SlotkeeperError of kind `settings` if the list is invalid, or leaves no supported method
 */
export function readMethods(text: string): readonly Method[] {
  const words = text.split(',').map((word) => word.trim())
  const negated = words.filter((word) => word.startsWith('!'))
  const names = words.map((word) => word.replace(/^!/, ''))
  const known = names.every((name) => [...METHODS, ...FOREIGN].includes(name))
  const onesided = negated.length === 0 || negated.length === words.length
  if (!known || !onesided || new Set(names).size < names.length) throw refused(text)
  const allowed = METHODS.filter((method) => names.includes(method) === (negated.length === 0))
  if (allowed.length === 0) throw refused(text)
  return allowed
}

function refused(text: string): SlotkeeperError {
  return new SlotkeeperError(
    'settings',
    `require_auth: found ${JSON.stringify(text)}; expected a list of ${METHODS.join(', ')}, or a list of some of them with ! before each (${FOREIGN.join(', ')} are not supported)`,
  )
}
