import ipaddr from 'ipaddr.js'
import { MOST_NAME_BYTES, shownInApplication } from './names.ts'
import type { Session } from './session.ts'

/** Selects sessions. Every given field must match; a field matches if any of its entries matches. */
export type Match = {
  databases?: string[] | undefined
  users?: string[] | undefined
  applications?: string[] | undefined
  clients?: string[] | undefined
}

type Test = (session: Session) => boolean

/**
 * Compiles a match once, so that addresses and globs are not parsed again for each session.
 * @param serverVersion as `server_version_num`; it decides how the server writes an application name
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

/**
 * The wildcards: any run of characters, and exactly one character. Every other character matches itself, in
 * its case.
 */
const ANY = Symbol('*')
const ONE = Symbol('?')

/**
 * One token for each whole character: the character that `?` matches may be two UTF-16 units in JavaScript.
 */
type Token = string | typeof ANY | typeof ONE
type Glob = Token[]

function tokensOf(glob: string): Glob {
  return [...glob].map((character) => {
    if (character === '*') return ANY
    return character === '?' ? ONE : character
  })
}

/**
 * If the text before the first wildcard is longer than the server keeps, cuts the glob where the server cuts
 * the name.
 */
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

/** Whether a glob matches a text: `*` matches any run of characters, `?` exactly one. */
export function globMatches(glob: string, text: string): boolean {
  return matches(tokensOf(glob), [...text])
}

/**
 * A greedy match that backtracks to one point only. Its time is bounded by the product of both lengths, so a
 * policy can't hang the sweep as a regular expression could.
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

/** ::ffff:10.0.9.0 would match no session, because a mapped address of a session is compared as IPv4. */
function isMapped(address: string): boolean {
  return ipaddr.IPv6.isValid(address) && ipaddr.IPv6.parse(address).isIPv4MappedAddress()
}

/** True for `local`, and for an IPv4 or IPv6 network in CIDR form. */
export function isClient(text: string): boolean {
  if (text === 'local') return true
  const [address = ''] = text.split('/')
  // ipaddr.js also accepts 10.1 and 012.0.0.1, which people read differently.
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
