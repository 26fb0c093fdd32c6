import { SlotkeeperError } from '../../lambda/errors.ts'
import { hintAt, type Parameters } from './parameters.ts'

/**
 * Reads one service's section of a service file (`pg_service.conf`), as libpq does (fe-connect.c,
 * `parseServiceFile`). If a parameter is there twice, the first one counts.
 * @param file the path of the file, for messages
 * @returns undefined if the file has no such section
 * @throws SlotkeeperError of kind `settings` that names the line, but does not show it: it may hold a password
 */
export function readService(text: string, service: string, file: string): Parameters | undefined {
  const lines = text.split('\n').map((line, index) => ({ line: line.trim(), number: index + 1 }))
  const start = lines.findIndex(({ line }) => line.startsWith(`[${service}]`))
  if (start < 0) return undefined
  const after = lines.slice(start + 1)
  const end = after.findIndex(({ line }) => line.startsWith('['))
  const found: Parameters = {}
  for (const { line, number } of after.slice(0, end < 0 ? after.length : end)) {
    if (line === '' || line.startsWith('#')) continue
    const { name, value } = readLine(line, `${file}, line ${number}`)
    found[name] ??= value
  }
  return found
}

function readLine(line: string, where: string): { name: string; value: string } {
  const fail = (expected: string) =>
    new SlotkeeperError('settings', `${where}: expected ${expected}`)
  if (line.startsWith('ldap'))
    throw fail('NAME=VALUE; looking up a service by LDAP is not supported')
  const { name, value } = /^(?<name>[^=]*)=(?<value>.*)$/s.exec(line)?.groups ?? {}
  if (name === undefined || value === undefined || hintAt(name) !== undefined) {
    throw fail("NAME=VALUE, where NAME is one of libpq's parameters, without a blank before the =")
  }
  if (name === 'service') throw fail('no parameter "service" within a service')
  return { name, value }
}

/** The key by which a password is looked up. */
export type Place = { host: string; port: string; dbname: string; user: string }

/**
 * Finds a password in a password file (`.pgpass`), as libpq does (fe-connect.c, `passwordFromFile`):
 * the first line that matches counts, `*` matches anything, and `\` escapes the next character.
 */
export function findPassword(text: string, place: Place): string | undefined {
  const { host, port, dbname, user } = place
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue
    const fields = [...line.matchAll(/((?:\\.|[^:\\]|\\$)*)(?::|$)/gsu)].map(
      ([, field = '']) => field,
    )
    const password = fields[4]
    const matches = [host, port, dbname, user].every(
      (wanted, index) => fields[index] === '*' || unescaped(fields[index]) === wanted,
    )
    if (matches && password !== undefined) return unescaped(password)
  }
  return undefined
}

function unescaped(field: string | undefined): string | undefined {
  return field?.replace(/\\(.)/gsu, '$1')
}
