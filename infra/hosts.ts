import { isIP } from 'node:net'

const MOST_CHARACTERS = 253
const LABEL = /^[\w-]{1,63}$/

/** RDS names that do not belong to one server: the pattern, and the problem. */
const ELSEWHERE: [RegExp, string][] = [
  [
    /\.proxy-|^proxy-[^.]+\.[a-z]+(-[a-z]+)+-\d\.rds\./i,
    "this is RDS Proxy, a pooler; expected the server's own endpoint",
  ],
  [
    /\.cluster-ro-/i,
    'this is the reader endpoint, which leads to a different instance with each connection; expected the endpoint of one instance',
  ],
  [
    /\.cluster-custom-/i,
    'this is a custom endpoint, which leads to a different instance with each connection; expected the endpoint of one instance',
  ],
]

/** Why no sweep can use this host, or undefined. */
export function hostProblem(host: string): string | undefined {
  if (/\s/.test(host)) return 'expected a host name without blanks'
  if (isIP(host) === 0) {
    if (/[/@?#]/.test(host)) return 'expected only the host name, not a URL or a path'
    if (/^\[?[^,]*\]?:\d*$/.test(host)) return 'expected only the host name; "port" is its own key'
    const labels = host.replace(/\.$/, '').split('.')
    if (host.length > MOST_CHARACTERS || !labels.every((label) => LABEL.test(label))) {
      return 'expected one host name: letters, digits, "-", "_" and "."'
    }
  }
  if (/^(localhost|127\..*|::1|0\.0\.0\.0|::)$/i.test(host)) {
    return "for the function, this address is the function itself; expected the server's endpoint"
  }
  return ELSEWHERE.find(([form]) => form.test(host))?.[1]
}

/** The region in the name of an RDS endpoint. */
export function regionOfHost(host: string): string | undefined {
  return /\.([a-z]+(?:-[a-z]+)+-\d)\.rds\.amazonaws\.com/.exec(host)?.[1]
}
