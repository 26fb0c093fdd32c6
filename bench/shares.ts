import { readdirSync, readFileSync } from 'node:fs'
import type { Profiler } from 'node:inspector'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A part of the program, and the time that it took, ms. */
export type Share = { part: string; ms: number }

const NATIVE_CODE = 'native code: V8, sockets, TLS'
/** V8's own entries, in plain words. */
const NATIVE = new Map([
  ['(idle)', 'waiting'],
  ['(program)', NATIVE_CODE],
  ['(garbage collector)', 'garbage collection'],
])

/**
 * The time of a profile by part, the largest first. Each sample counts for the part whose function was
 * running, not for its callers.
 * @param partOf returns the part that a file belongs to, by its URL
 */
export function shares(profile: Profiler.Profile, partOf: (url: string) => string): Share[] {
  const parts = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url } }) => [
      id,
      NATIVE.get(functionName) ?? (url === '' ? NATIVE_CODE : partOf(url)),
    ]),
  )
  const spent = new Map<string, number>()
  profile.samples?.forEach((id, index) => {
    const part = parts.get(id) ?? ''
    spent.set(part, (spent.get(part) ?? 0) + (profile.timeDeltas?.[index] ?? 0) / 1000)
  })
  return [...spent].map(([part, ms]) => ({ part, ms })).sort((a, b) => b.ms - a.ms)
}

/** The part of a source file or a file in `node_modules`: its package or its name. */
export function partOfSource(url: string): string {
  if (url.startsWith('node:')) return "Node.js's own modules"
  const packaged = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]
  return packaged ?? relative(process.cwd(), fileURLToPath(url))
}

/** The part of a file in the built bundle: the source that takes the most bytes in it. */
export function partOfBundle(metafile: string): (url: string) => string {
  const { outputs } = JSON.parse(readFileSync(metafile, 'utf8')) as {
    outputs: Record<string, { inputs: Record<string, { bytesInOutput: number }> }>
  }
  return (url) => {
    if (!url.startsWith('file:')) return partOfSource(url)
    const file = relative(process.cwd(), fileURLToPath(url))
    const inputs = Object.entries(outputs[file]?.inputs ?? {})
    const [largest] = inputs.sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput)
    // A file without a source has only the bundler's own helpers.
    if (!largest) return "the bundle's loading of Node.js's modules"
    const family = /node_modules\/(@[^/]+|[^/]+)/.exec(largest[0])?.[1]
    if (family === '@aws-sdk' || family === '@smithy') return 'the AWS SDK'
    return family ?? largest[0]
  }
}

/** The only profile that a process left in a folder (`--cpu-prof`). */
export function readProfile(folder: string): Profiler.Profile {
  const [name] = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))
  return JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as Profiler.Profile
}
