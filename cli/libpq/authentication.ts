import { METHODS, type Method } from '../../lambda/core/credentials.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'

/** What libpq knows, and is not spoken here. */
const FOREIGN = ['gss', 'sspi', 'oauth']

/**
 * libpq's `require_auth`: a list of methods that the server may ask for, or with `!` before each, of
 * those that it may not.
 * @throws SlotkeeperError of kind `settings` where it is not one, or leaves no method that is spoken here
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
    `require_auth: found ${JSON.stringify(text)}; expected a list of ${METHODS.join(', ')}, or of some of them with ! before each (${FOREIGN.join(', ')} are not spoken here)`,
  )
}
