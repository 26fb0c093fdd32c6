import { SlotkeeperError } from '../../lambda/errors.ts'
import { hintAt, type Parameters } from './parameters.ts'

const FORM =
  'expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with / ? # @ : and % inside of a part percent-encoded'

/**
 * Reads a connection URI as libpq does (fe-connect.c, `conninfo_uri_parse_options`): what stands
 * after a `/` or a `#` is no path and no fragment, `+` is a plus, and a later parameter wins.
 * Forms that libpq takes are refused where they are how a password with a raw `/`, `?` or `@` reads:
 * a piece of it would be taken for a host, a database or a parameter, and would then be shown.
 * @throws SlotkeeperError of kind `settings`, which shows no part of the text but parameters' names
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
    throw unreadable('its password seems to hold a raw "/", "?" or "@"')
  }
  return { ...decoded({ user, password, host, port, dbname }), ...readQuery(query) }
}

/** Whether the rest of a password may stand in the database's or the parameters' place. */
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
  if (authority.includes('@')) throw unreadable('it holds more than one raw "@"')
  const {
    address,
    name,
    port = '',
  } = /^(?:\[(?<address>[^\]]+)\]|(?<name>[^:[\]]*))(?::(?<port>.*))?$/s.exec(authority)?.groups ??
  {}
  const host = address ?? name
  if (host === undefined) throw unreadable('its host is not one')
  // Its value may be a piece of a password, and is not shown.
  if (port !== '' && !isPort(decode(port)))
    throw unreadable('its port is not a number from 1 to 65535')
  return { host, port }
}

/** Empty parts say nothing, as in libpq. */
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
        'a parameter of it is not NAME=VALUE; "&" and "=" in a value are %26 and %3D',
      )
    }
    const name = decode(rawName)
    const value = decode(rawValue)
    // What JDBC calls it.
    if (name === 'ssl' && value === 'true') {
      found.sslmode = 'require'
      continue
    }
    // After a password it may be the rest of one with a raw "&" in it.
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
      ? 'the URL has an unknown parameter, or a password with a raw "&" in it; expected that as %26'
      : `the URL's parameter ${JSON.stringify(name)} is unknown${near}; expected one of libpq's`,
  )
}

function decode(raw: string): string {
  if (/%(?![0-9a-f]{2})/i.test(raw) || /%00/.test(raw)) {
    throw unreadable('a "%" in it does not begin an encoded character')
  }
  try {
    return decodeURIComponent(raw)
  } catch {
    // The cause would quote what it read.
    throw unreadable('its encoded characters are not UTF-8')
  }
}

export function isPort(text: string): boolean {
  return /^\s*\d+\s*$/.test(text) && Number(text) >= 1 && Number(text) <= 65535
}

/** libpq tries one after the other. Here, which server is swept must not hang on which one answers. */
export function severalHosts(where: string): SlotkeeperError {
  return new SlotkeeperError(
    'settings',
    `${where} lists several hosts; expected one, as a sweep has one target: run it once for each`,
  )
}

function unreadable(what = 'it has another form'): SlotkeeperError {
  return new SlotkeeperError('settings', `the URL could not be read: ${what}; ${FORM}`)
}
