import { X509Certificate } from 'node:crypto'

/** A certificate of RDS, after the name of its region where it is of one region alone. */
export function marked(pem: string): string {
  const { subject } = new X509Certificate(pem)
  const region = /CN=Amazon RDS ([a-z]+(?:-[a-z]+)+-\d) /.exec(subject)?.[1]
  return region === undefined ? pem : `# ${region}\n${pem}`
}
