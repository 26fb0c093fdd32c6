import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Closed } from './sessions.ts'

const SESSIONS = fileURLToPath(new URL('sessions.ts', import.meta.url))

/** Idle sessions that a separate process holds. */
export type Held = {
  /** Resolves when the last client has seen its socket close. */
  closed: Promise<Closed>
  /** Closes the sessions that are left. */
  drop(): Promise<void>
}

/** A process that opens idle sessions, again and again. It holds one crowd at a time. */
export function startHolder(
  { host, port }: { host: string; port: number },
  role: string,
  application: string,
) {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', SESSIONS, host, String(port), role, application],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const lines = createInterface({ input: child.stdout })
  const exited = once(child, 'exit')
  const dead = exited.then(([code]) => {
    throw new Error(`the process that holds the sessions ended with code ${code}`)
  })
  // Only those who wait for a line need to hear it.
  dead.catch(() => undefined)
  const nextLine = async () => {
    const [line] = (await Promise.race([once(lines, 'line'), dead])) as [string]
    return JSON.parse(line)
  }
  return {
    async hold(count: number): Promise<Held> {
      child.stdin.write(`open ${count}\n`)
      await nextLine()
      const closed: Promise<Closed> = nextLine()
      closed.catch(() => undefined)
      let over = false
      closed.then(
        () => {
          over = true
        },
        () => undefined,
      )
      return {
        closed,
        async drop() {
          if (!over) child.stdin.write('drop\n')
          await closed
        },
      }
    },
    async stop(): Promise<void> {
      child.stdin.end()
      await exited
    },
  }
}
