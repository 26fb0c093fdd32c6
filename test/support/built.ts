import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/** Runs the built command without a server, as a person would; its output and exit code. */
export async function runBuilt(
  args: string[],
  { env = {}, input = '' }: { env?: Record<string, string>; input?: string } = {},
): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, ['dist/cli.mjs', ...args], {
    env: { PATH: process.env.PATH, ...env },
  })
  // A command that refuses its arguments ends without reading.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  if (child.exitCode === null) await once(child, 'exit')
  return { code: child.exitCode ?? -1, out, err }
}
