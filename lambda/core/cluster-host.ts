import ipaddr from 'ipaddr.js'
import { type Parsed, parsed, refused } from './parsed.ts'

/** An endpoint of an Aurora cluster, taken apart. Every instance of the cluster has a name that follows from it. */
export type ClusterHost = {
  /** The endpoint in lower case and without a dot at its end, as certificates name it. */
  host: string
  /** Which instance the endpoint leads to: the writer, any reader, or any instance of a custom endpoint. */
  leadsTo: 'writer' | 'reader' | 'custom'
  /** The name before the first dot: the identifier of the cluster, except in a custom endpoint. */
  name: string
  /** What follows the name in the endpoint of each instance, such as `ID.REGION.rds.amazonaws.com`. */
  domain: string
}

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const REGION = '[a-z]+(?:-[a-z]+)+-\\d'
/** In China the region comes after the service in older names. */
const SERVICE = `(?:${REGION}\\.rds|rds\\.${REGION})\\.amazonaws\\.com(?:\\.cn)?`
const OF_CLUSTER = new RegExp(`^(${LABEL})\\.cluster-(?:(ro|custom)-)?([a-z0-9]+\\.${SERVICE})$`)
const OF_INSTANCE = new RegExp(`^${LABEL}\\.[a-z0-9]+\\.${SERVICE}$`)

const EXPECTED =
  "expected the cluster's own endpoint, such as NAME.cluster-ID.REGION.rds.amazonaws.com"

/** Names of RDS that belong to no cluster whose instances could be found: the pattern, and what it is. */
const OTHERS: [RegExp, string][] = [
  [/(^|\.)proxy-/, 'this is RDS Proxy, a pooler, which hides the instances'],
  [/\.shardgrp-/, 'this is a shard group of Aurora Limitless, whose servers have no endpoints'],
  [/\.global-/, 'this is the endpoint of a global database, which has no instances of its own'],
  [OF_INSTANCE, 'this is the endpoint of one instance'],
]

/**
 * Reads the endpoint of a cluster: its own one, its reader endpoint or a custom one. The name of a blue/green
 * deployment (`shop-green-a1b2c3`) is a name like any other.
 * @returns problems without a path. Each one says what the host is, and what is expected
 */
export function readClusterHost(host: string): Parsed<ClusterHost> {
  const plain = host.toLowerCase().replace(/\.$/, '')
  const [, name, kind, domain] = OF_CLUSTER.exec(plain) ?? []
  if (name !== undefined && domain !== undefined) {
    const leadsTo = kind === 'ro' ? 'reader' : kind === 'custom' ? 'custom' : 'writer'
    return parsed({ host: plain, leadsTo, name, domain })
  }
  return refused(`${whatElse(plain)}; ${EXPECTED}`)
}

/** Why the instances of a cluster can't be found from this host, or undefined. */
export function clusterHostProblem(host: string): string | undefined {
  const read = readClusterHost(host)
  return read.ok ? undefined : read.problems[0]
}

function whatElse(host: string): string {
  if (ipaddr.isValid(host)) return "an address does not tell the names of the cluster's instances"
  const known = OTHERS.find(([form]) => form.test(host))?.[1]
  return (
    known ??
    'this is not a name that RDS gave a cluster, and an alias (CNAME) does not tell the names of its instances'
  )
}

/** What RDS accepts as an identifier: one label of a host name. Its letters are lower case there. */
const IDENTIFIER = new RegExp(`^${LABEL}$`)

/** Whether a text that a server sent can be the identifier of an instance, and so a part of a host name. */
export function isInstanceId(text: string): boolean {
  return IDENTIFIER.test(text)
}

/** The endpoint that leads to any reader; undefined if the given one does not tell it, or is the same. */
export function readerHost({ leadsTo, name, domain }: ClusterHost): string | undefined {
  return leadsTo === 'writer' ? `${name}.cluster-ro-${domain}` : undefined
}

/** The endpoint of one instance of the cluster. `id` is its identifier, in lower case. */
export function instanceHost({ domain }: ClusterHost, id: string): string {
  return `${id}.${domain}`
}
