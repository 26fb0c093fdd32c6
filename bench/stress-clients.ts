// The applications of the stress test. They run in a separate process, so that they and the reaper under
// test do not wait for each other. Arguments: JSON of the type `Load`, and a connection URL. When the time
// is up, the process prints JSON of the type `Told`.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'

export type Load = {
  clients: number
  /** The longest pause between two transactions, ms. */
  gapMs: number
  forMs: number
}

/** What the server told the clients. */
export type Told = {
  /** Queries that got no answer except the end of the session, before any statement had begun. */
  unanswered: number
  /** What the server said that it committed, one entry for each transaction. */
  acknowledged: string[]
}

const [, , load = '{}', url] = process.argv
const { clients, gapMs, forMs } = JSON.parse(load) as Load
const until = performance.now() + forMs
const told: Told = { unanswered: 0, acknowledged: [] }

type Work = (client: Client, entry: string) => Promise<unknown>

const write: Work = (client, entry) =>
  client.query({ name: 'write', text: 'insert into ledger values ($1)', values: [entry] })

/** The kinds of work that an application does between `begin` and `commit`. */
const kinds: Work[] = [
  write,
  async (client, entry) => {
    await client.query('select pg_advisory_xact_lock_shared(1)')
    await write(client, entry)
  },
  async (client, entry) => {
    await client.query('declare c cursor for select generate_series(1, 9)')
    await write(client, entry)
    await client.query('fetch 5 from c')
  },
  async (client, entry) => {
    await client.query('create temp table scratch (n int) on commit drop')
    await write(client, entry)
  },
  (client, entry) =>
    pipeline(Readable.from([`${entry}\n`]), client.query(copyFrom('copy ledger from stdin'))),
  async (client, entry) => {
    await write(client, entry)
    await client.query('select pg_sleep(0.005)')
  },
]

/** Runs transactions with gaps between them, until the time is up or the session has ended. */
async function live(client: Client, name: string, ended: () => boolean): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    await pause(Math.random() * gapMs)
    if (ended() || performance.now() > until) return
    const entry = `${name}.${turn}`
    let begun = false
    try {
      await client.query('begin')
      begun = true
      await kinds[turn % kinds.length]?.(client, entry)
      await client.query('commit')
    } catch {
      if (!begun) told.unanswered += 1
      return
    }
    told.acknowledged.push(entry)
  }
}

/** One client. It connects again whenever its session was ended. */
async function work(number: number): Promise<void> {
  for (let life = 0; performance.now() < until; life += 1) {
    const client = new Client({ connectionString: url, application_name: 'stress' })
    let ended = false
    client.on('error', () => {
      ended = true
    })
    await client.connect()
    await live(client, `${number}.${life}`, () => ended)
    // The server may have ended the session already.
    await client.end().catch(() => undefined)
  }
}

await Promise.all(Array.from({ length: clients }, (_, number) => work(number)))
process.stdout.write(JSON.stringify(told))
