import { SlotkeeperError } from '../../lambda/errors.ts'
import { hintAt, type Parameters } from './parameters.ts'

const FORM =
  'expected postgres://USER:PASSWORD@HOST:PORT/DATABASE; inside a part, percent-encode each / ? # @ : and %'

/**
 * Reads a connection URI as libpq does (fe-connect.c, `conninfo_uri_parse_options`): the text after
 * a `/` or a `#` is not a path or a fragment, `+` is a plus, and a later parameter wins.
 *
 * Some forms that libpq accepts are refused, because a password with a raw `/`, `?` or `@` looks like
 * them. A piece of such a password would be taken for a host, a database or a parameter, and printed.
 * @throws SlotkeeperError of kind `settings`, which shows no part of the URI except names of parameters
 */
export function parseUri(text: string): Parameters {
  const rest = /^\s*postgres(?:ql)?:\/\/(.*?)\s*$/s.exec(text)?.[1]
  if (rest === undefined) throw unreadable()
  const parts =
    /^(?:(?<user>[^/@:]*)(?::(?<password>[^/@]*))?@)?(?<authority>[^/?]*)(?:\/(?<dbname>[^?]*))?(?:\?(?<query>.*))?$/s.exec(
      rest,
    )?.groups ?? {}
  const { user, password, authority = '', dbname, query = '' } = parts
  const { host, port } = readAuthority(authority)
  if (isMistaken(parts, port)) {
    throw unreadable('its password seems to contain a raw "/", "?" or "@"')
  }
  return { ...decoded({ user, password, host, port, dbname }), ...readQuery(query) }
}

/** Whether the text in the place of the database or the parameters may be the rest of a password. */
function isMistaken(
  { user, password, dbname = '', query = '' }: Parameters,
  port: string,
): boolean {
  const noUser = user === undefined && port !== ''
  if (noUser && dbname.includes('@')) return true
  if ((noUser || password !== undefined) && query.includes('@')) return true
  return /@.*\//s.test(dbname)
}

function readAuthority(authority: string): { host: string; port: string } {
  if (authority.includes(',')) throw severalHosts('the URL')
  if (authority.includes('@')) throw unreadable('it contains more than one raw "@"')
  const {
    address,
    name,
    port = '',
  } = /^(?:\[(?<address>[^\]]+)\]|(?<name>[^:[\]]*))(?::(?<port>.*))?$/s.exec(authority)?.groups ??
  {}
  const host = address ?? name
  if (host === undefined) throw unreadable('its host is not a valid host name or address')
  // The value is not shown, because it may be a piece of a password.
  if (port !== '' && !isPort(decode(port)))
    throw unreadable('its port is not a number from 1 to 65535')
  return { host, port }
}

/** As in libpq, an empty part counts as not given. */
function decoded(parts: Parameters): Parameters {
  return Object.fromEntries(
    Object.entries(parts)
      .filter(([, raw]) => raw)
      .map(([name, raw = '']) => [name, decode(raw)]),
  )
}

function readQuery(query: string): Parameters {
  const found: Parameters = {}
  const pieces = query.split('&')
  if (pieces.at(-1) === '') pieces.pop()
  for (const piece of pieces) {
    const [rawName = '', rawValue, ...more] = piece.split('=')
    if (rawValue === undefined || more.length > 0) {
      throw unreadable(
        'one of its parameters is not NAME=VALUE; in a value, write "&" as %26 and "=" as %3D',
      )
    }
    const name = decode(rawName)
    const value = decode(rawValue)
    // JDBC's name for it.
    if (name === 'ssl' && value === 'true') {
      found.sslmode = 'require'
      continue
    }
    // After a password, the name may be the rest of a password that contains a raw "&".
    refuseUnknown(name, 'password' in found || 'sslpassword' in found)
    found[name] = value
  }
  return found
}

function refuseUnknown(name: string, secretly: boolean): void {
  const near = hintAt(name)
  if (near === undefined) return
  throw new SlotkeeperError(
    'settings',
    secretly
      ? 'the URL has an unknown parameter, or a password that contains a raw "&"; write "&" in a password as %26'
      : `the URL's parameter ${JSON.stringify(name)} is unknown${near}; expected one of libpq's`,
  )
}

function decode(raw: string): string {
  if (/%(?![0-9a-f]{2})/i.test(raw) || /%00/.test(raw)) {
    throw unreadable('it contains a "%" that does not begin an encoded character')
  }
  try {
    return decodeURIComponent(raw)
  } catch {
    // Without a cause: its message would show the text.
    throw unreadable('its encoded characters are not UTF-8')
  }
}

export function isPort(text: string): boolean {
  return /^\s*\d+\s*$/.test(text) && Number(text) >= 1 && Number(text) <= 65535
}

/** libpq tries one host after another. A sweep must not depend on which of them answers. */
export function severalHosts(where: string): SlotkeeperError {
  return new SlotkeeperError(
    'settings',
    `${where} lists several hosts; expected one, because a sweep has one target: run one sweep for each host`,
  )
}

function unreadable(what = 'it does not begin with postgres:// or postgresql://'): SlotkeeperError {
  return new SlotkeeperError('settings', `the URL could not be read: ${what}; ${FORM}`)
}
