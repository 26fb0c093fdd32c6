import ipaddr from 'ipaddr.js'
import { MOST_NAME_BYTES, shownInApplication } from './names.ts'
import type { Session } from './session.ts'

/** Which sessions are meant: every field given must match, within a field any one entry. */
export type Match = {
  databases?: string[] | undefined
  users?: string[] | undefined
  applications?: string[] | undefined
  clients?: string[] | undefined
}

type Test = (session: Session) => boolean

/**
 * Compiles a match once, so that addresses and globs are not parsed again for each session.
 * @param serverVersion as `server_version_num`; it decides how the server writes an application's name
 */
export function compileMatch(match: Match, serverVersion: number): Test {
  const { databases, users, applications, clients } = match
  const tests: Test[] = []
  if (databases) tests.push(anyGlob(databases.map(tokensOf), (session) => session.database))
  if (users) tests.push(anyGlob(users.map(tokensOf), (session) => session.user))
  if (applications) {
    const shown = applications.map((name) => asShown(tokensOf(name), serverVersion))
    tests.push(anyGlob(shown, (session) => session.application))
  }
  if (clients) tests.push(anyNetwork(clients))
  return (session) => tests.every((test) => test(session))
}

/** Any run of characters, and exactly one; all else stands for itself, case included. */
const ANY = Symbol('*')
const ONE = Symbol('?')

/** A glob by whole characters: what `?` stands for may be two units of JavaScript's strings. */
type Token = string | typeof ANY | typeof ONE
type Glob = Token[]

function tokensOf(glob: string): Glob {
  return [...glob].map((character) => {
    if (character === '*') return ANY
    return character === '?' ? ONE : character
  })
}

/** What stands before the first wildcard is cut off where the server cuts it off: nothing can follow it then. */
function asShown(glob: Glob, serverVersion: number): Glob {
  const shown = glob.flatMap((token): Token[] =>
    typeof token === 'string' ? [...shownInApplication(token, serverVersion)] : [token],
  )
  const beginning = shown.slice(0, MOST_NAME_BYTES)
  return isWild(beginning) ? shown : beginning
}

function isWild(glob: Glob): boolean {
  return glob.some((token) => typeof token !== 'string')
}

/** Whether a glob matches a text: `*` stands for any run of characters, `?` for exactly one. */
export function globMatches(glob: string, text: string): boolean {
  return matches(tokensOf(glob), [...text])
}

/**
 * Greedy with one point of return, so its time is bounded by the product of both lengths: a policy
 * can't hang the sweep as a regular expression could.
 */
function matches(glob: Glob, text: string[]): boolean {
  let g = 0
  let t = 0
  let star = -1
  let resume = 0
  while (t < text.length) {
    if (glob[g] === ANY) {
      star = g++
      resume = t
    } else if (g < glob.length && (glob[g] === ONE || glob[g] === text[t])) {
      g++
      t++
    } else if (star >= 0) {
      g = star + 1
      t = ++resume
    } else {
      return false
    }
  }
  while (glob[g] === ANY) g++
  return g === glob.length
}

/** ::ffff:10.0.9.0, which covers nobody: a session's address is compared as the IPv4 that it is. */
function isMapped(address: string): boolean {
  return ipaddr.IPv6.isValid(address) && ipaddr.IPv6.parse(address).isIPv4MappedAddress()
}

/** True for `local`, and for an IPv4 or IPv6 network in CIDR form. */
export function isClient(text: string): boolean {
  if (text === 'local') return true
  const [address = ''] = text.split('/')
  // ipaddr.js also reads 10.1 and 012.0.0.1, which people read otherwise.
  const plain = address.includes(':') || ipaddr.IPv4.isValidFourPartDecimal(address)
  return plain && ipaddr.isValidCIDR(text) && !isMapped(address)
}

function anyGlob(globs: Glob[], field: (session: Session) => string | null): Test {
  const exact = new Set(globs.filter((glob) => !isWild(glob)).map((glob) => glob.join('')))
  const wild = globs.filter(isWild)
  return (session) => {
    const text = field(session)
    if (text === null || exact.has(text)) return text !== null
    return wild.some((glob) => matches(glob, [...text]))
  }
}

function anyNetwork(clients: string[]): Test {
  const local = clients.includes('local')
  const networks = clients
    .filter((client) => client !== 'local')
    .map((client) => ipaddr.parseCIDR(client))
  return ({ client }) => {
    if (client === 'local') return local
    if (!ipaddr.isValid(client)) return false
    const address = ipaddr.process(client)
    return networks.some(
      ([network, bits]) => network.kind() === address.kind() && address.match(network, bits),
    )
  }
}
