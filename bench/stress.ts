import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Client, Pool } from 'pg'
import type { Server } from '../stand-ins/postgres.ts'
import type { Load, Told } from './stress-clients.ts'

/** Server settings with which the log shows what each process was doing when its signal arrived. */
export const STRESS_SETTINGS = {
  log_line_prefix: '%n|%p|%v|',
  log_connections: 'on',
  log_min_duration_statement: '0',
  max_connections: '120',
}

/** A superuser's connection. */
export type Admin = Client | Pool

/** The result of the applications' work: what they were told, and what the ledger contains. */
export type Work = {
  /** Queries that got no answer except the end of the session. Undefined if the clients do not report it. */
  unanswered?: number
  committed: number
  /** Commits that the server confirmed to the client, but that are not in the ledger. */
  lost: number
}

/** What the server's log says about the sessions that were ended, and the result of the work. */
export type Toll = {
  reaped: number
  /** Sessions whose process was executing a statement, or in a transaction, when the signal arrived. */
  busy: number
  /** Sessions that were ended before they had been idle for the rule's age. */
  young: number
  /** Sessions whose client had already sent its next query, which had not begun. Undefined if not reported. */
  onTheWire?: number
} & Pick<Work, 'committed' | 'lost'>

const CLIENTS = fileURLToPath(new URL('stress-clients.ts', import.meta.url))
/** The server's log rounds its timestamps to this, ms. */
const CLOCK_MS = 1
const IDLE_SINCE = /^LOG: {2}(duration|connection authorized)/
const ENDED =
  /^FATAL: {2}terminating connection due to (administrator command|idle-session timeout)/
/** A virtual transaction id whose second part is not 0. */
const IN_TRANSACTION = /\/[1-9]/
/** When this statement appears in the log, everything before it is in the log too. */
const LAST_WORDS = "select 'the stress is over'"

/** Runs `reap` again and again while the applications work, and counts which sessions it hits. */
export async function stress(
  { server, admin }: { server: Server; admin: Admin },
  ageMs: number,
  work: () => Promise<Work>,
  reap: () => Promise<unknown>,
): Promise<Toll> {
  const watch = watchLog(server, ageMs)
  let working = true
  const worked = work().finally(() => {
    working = false
  })
  while (working) await reap()
  const { unanswered, committed, lost } = await worked
  const { busyAtBegin, ...toll } = await watch.end(admin)
  const onTheWire = unanswered === undefined ? {} : { onTheWire: unanswered - busyAtBegin }
  return { ...toll, ...onTheWire, committed, lost }
}

/** Runs applications of many kinds as `user`. They write everything that they commit into a ledger. */
export async function applications(
  admin: Admin,
  { user, url }: { user: string; url: string },
  load: Load,
): Promise<Work> {
  await makeLedger(admin, user)
  const clients = spawn(process.execPath, ['--import', 'tsx', CLIENTS, JSON.stringify(load), url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { unanswered, acknowledged } = JSON.parse(await text(clients.stdout)) as Told
  const { rows } = await admin.query<{ entry: string }>('select entry from ledger')
  const found = new Set(rows.map(({ entry }) => entry))
  const lost = acknowledged.filter((entry) => !found.has(entry)).length
  return { unanswered, committed: found.size, lost }
}

export async function makeLedger(admin: Admin, user: string): Promise<void> {
  await admin.query(
    `drop table if exists ledger; create table ledger (entry text); grant all on ledger to ${user}`,
  )
}

/** Follows the log: when each process last worked, and what it was doing when it was ended. */
function watchLog({ log }: Server, ageMs: number) {
  const toll = { reaped: 0, busy: 0, young: 0, busyAtBegin: 0 }
  const idleSince = new Map<string, number>()
  const endedIdle = new Set<string>()
  const end = (pid: string, atMs: number, inTransaction: boolean) => {
    const since = idleSince.get(pid)
    if (since === undefined) return
    toll.reaped += 1
    if (atMs - since < ageMs - CLOCK_MS) toll.young += 1
    if (inTransaction) toll.busy += 1
    else endedIdle.add(pid)
  }
  const follow = (line: string) => {
    const [seconds = '', pid = '', transaction = '', said = ''] = line.split('|')
    const atMs = Number(seconds) * 1000
    if (IDLE_SINCE.test(said)) idleSince.set(pid, atMs)
    if (ENDED.test(said)) end(pid, atMs, IN_TRANSACTION.test(transaction))
    // The server logs this line after the error, and only if a statement was running.
    if (said.startsWith('STATEMENT:') && endedIdle.delete(pid)) {
      toll.busy += 1
      toll.busyAtBegin += 1
    }
  }
  log.on('line', follow)
  return {
    async end(admin: Admin) {
      const over = new Promise<void>((resolve) => {
        const wait = (line: string) => {
          if (!line.includes(LAST_WORDS)) return
          log.off('line', wait)
          resolve()
        }
        log.on('line', wait)
      })
      await admin.query(LAST_WORDS)
      await over
      log.off('line', follow)
      return toll
    },
  }
}
