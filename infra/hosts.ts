import { isIP } from 'node:net'
import { clusterHostProblem } from '../lambda/core/cluster-host.ts'

const MOST_CHARACTERS = 253
const LABEL = /^[\w-]{1,63}$/

const PROXY = /\.proxy-|^proxy-[^.]+\.[a-z]+(-[a-z]+)+-\d\.rds\./i

/** RDS names that do not belong to one server: the pattern, and the problem. */
const ELSEWHERE: [RegExp, string][] = [
  [
    /\.cluster-ro-/i,
    'this is the reader endpoint, which leads to a different instance with each connection; expected the endpoint of one instance',
  ],
  [
    /\.cluster-custom-/i,
    'this is a custom endpoint, which leads to a different instance with each connection; expected the endpoint of one instance',
  ],
]

/** Why no sweep can use this host, whether its target is one server or a whole cluster; or undefined. */
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
  return PROXY.test(host)
    ? "this is RDS Proxy, a pooler; expected the server's own endpoint"
    : undefined
}

/** Why this host does not lead to one server or, for a whole cluster, not to all of its instances; or undefined. */
export function targetHostProblem(host: string, cluster: boolean): string | undefined {
  const problem = hostProblem(host)
  if (problem !== undefined) return problem
  return cluster ? clusterHostProblem(host) : ELSEWHERE.find(([form]) => form.test(host))?.[1]
}

/** The region in the name of an RDS endpoint. */
export function regionOfHost(host: string): string | undefined {
  return /\.([a-z]+(?:-[a-z]+)+-\d)\.rds\.amazonaws\.com/.exec(host)?.[1]
}
