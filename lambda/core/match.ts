import ipaddr from 'ipaddr.js'
import type { Session } from './session.ts'

/** Which sessions are meant: every field given must match, within a field any one entry. */
export type Match = {
  databases?: string[] | undefined
  users?: string[] | undefined
  applications?: string[] | undefined
  clients?: string[] | undefined
}

type Test = (session: Session) => boolean

/** Compiles a match once, so that addresses and globs are not parsed again for each session. */
export function compileMatch(match: Match): Test {
  const tests: Test[] = []
  if (match.databases) tests.push(anyGlob(match.databases, (session) => session.database))
  if (match.users) tests.push(anyGlob(match.users, (session) => session.user))
  if (match.applications) tests.push(anyGlob(match.applications, (session) => session.application))
  if (match.clients) tests.push(anyNetwork(match.clients))
  return (session) => tests.every((test) => test(session))
}

/**
 * `*` stands for any run of characters, `?` for exactly one, all else for itself, case included.
 * Greedy with one point of return, so its time is bounded by the product of both lengths: a policy
 * can't hang the sweep as a regular expression could.
 */
export function globMatches(glob: string, text: string): boolean {
  return matches([...glob], [...text])
}

/** On whole characters: what `?` stands for may be two units of JavaScript's strings. */
function matches(glob: string[], text: string[]): boolean {
  let g = 0
  let t = 0
  let star = -1
  let resume = 0
  while (t < text.length) {
    if (glob[g] === '*') {
      star = g++
      resume = t
    } else if (g < glob.length && (glob[g] === '?' || glob[g] === text[t])) {
      g++
      t++
    } else if (star >= 0) {
      g = star + 1
      t = ++resume
    } else {
      return false
    }
  }
  while (glob[g] === '*') g++
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

function anyGlob(globs: string[], field: (session: Session) => string | null): Test {
  const exact = new Set(globs.filter((glob) => !/[*?]/.test(glob)))
  const wild = globs.filter((glob) => /[*?]/.test(glob)).map((glob) => [...glob])
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
