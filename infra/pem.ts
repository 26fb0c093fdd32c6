import { X509Certificate } from 'node:crypto'

/** A certificate of RDS. If it is for one region only, a comment line names the region before it. */
export function marked(pem: string): string {
  const { subject } = new X509Certificate(pem)
  const region = /CN=Amazon RDS ([a-z]+(?:-[a-z]+)+-\d) /.exec(subject)?.[1]
  return region === undefined ? pem : `# ${region}\n${pem}`
}
