import { afterAll, expect, test } from 'vitest'
import { createGate, deadlineIn, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { createTarget } from '../../../lambda/target.ts'
import { type Fate, startProxy } from '../../../stand-ins/proxy.ts'
import { type OtherSession, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const db = await testServer({ max_connections: '80' })
const network = await startProxy(db.server)
afterAll(() => network.close())
const mine = await db.role('shop_web')
const theirs = await db.role('shop_jobs')
for (const role of [mine, theirs]) await db.trust(role)
// May end the sessions of one of the two roles only.
const member = await db.role('member', ['pg_monitor', mine.user])
const everything = policy({
  scope: { users: ['shop_*'] },
  rules: [
    {
      name: 'report',
      match: { applications: ['report'] },
      state: 'active',
      olderThan: '0s',
      action: 'cancel',
    },
    { name: 'runaway', state: 'active', olderThan: '0s' },
    { name: 'left open', state: 'idle in transaction', olderThan: '0s' },
    { name: 'idle', state: 'idle', olderThan: '0s' },
  ],
})

/** What a session does before the sweep looks, and the rule that it meets then. */
const OCCUPATIONS = ['idle', 'left open', 'report', 'runaway'] as const
type Occupation = (typeof OCCUPATIONS)[number]
type Client = OtherSession & { occupation: Occupation; owned: boolean; query: Promise<unknown> }

/** The same numbers for the same seed (mulberry32). */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides
  }
}

async function occupy(occupation: Occupation, owned: boolean): Promise<Client> {
  const opening = occupation === 'left open' ? ['begin'] : []
  const session = await db.open(owned ? mine : theirs, occupation, ...opening)
  let query: Promise<unknown> = Promise.resolve()
  if (occupation === 'report' || occupation === 'runaway') {
    query = session.client.query('select pg_sleep(3600)').catch(({ code }) => code)
    await until(async () => (await db.stateOf(session.pid)) === 'active')
  }
  return { ...session, occupation, owned, query }
}

/** Ends the session, or lets it do something, and says which. */
async function change({ client, pid, query, ended }: Client, ends: boolean) {
  if (ends) {
    await db.admin.query('select pg_terminate_backend($1)', [pid])
    await Promise.all([query, ended])
    await until(async () => (await db.stateOf(pid)) === undefined)
    return 'gone'
  }
  await db.admin.query('select pg_cancel_backend($1)', [pid])
  await query
  await client.query('select 1')
  await db.settled(pid)
  return 'changed'
}

const pidsOf = (sessions: { pid: number }[]) => sessions.map(({ pid }) => pid).sort((a, b) => a - b)

test.each([
  [1, 12],
  [2, 40],
])(
  'reports what became of each session, whatever it did meanwhile (seed %i, %i sessions)',
  async (seed, count) => {
    const roll = dice(seed)
    const reader = async () => ({ ...db.credentials(member), port: network.port })
    const target = createTarget('shop', everything, createGate(reader, false))
    for (const entry of ['client', 'warm']) {
      const clients: Client[] = []
      while (clients.length < count) {
        clients.push(await occupy(OCCUPATIONS[roll(OCCUPATIONS.length)] as Occupation, roll(2) > 0))
      }
      const fates = new Map<Client, string>()
      network.judge = async (chunk, from): Promise<Fate> => {
        if (from === 'server' || !chunk.includes('slotkeeper.outcomes')) return 'pass'
        network.judge = () => 'pass'
        for (const client of clients) {
          if (roll(3) === 0) fates.set(client, await change(client, roll(2) > 0))
        }
        return 'pass'
      }
      const { report } = await target.sweep('reap', deadlineIn(SWEEP_MS))
      const fateOf = (client: Client) => fates.get(client) ?? (client.owned ? 'reaped' : 'refused')
      const those = (fate: string) => clients.filter((client) => fateOf(client) === fate)
      expect(report).toMatchObject({
        entry,
        inScope: count,
        spared: { changed: those('changed').length, gone: those('gone').length },
      })
      expect(pidsOf(report.reaped)).toEqual(pidsOf(those('reaped')))
      expect(pidsOf(report.refused)).toEqual(pidsOf(those('refused')))
      for (const { pid, rule, user } of report.reaped) {
        const victim = clients.find((client) => client.pid === pid)
        expect({ rule, user }).toEqual({ rule: victim?.occupation, user: mine.user })
      }
      for (const client of those('reaped')) {
        if (client.occupation === 'report') expect(await client.query).toBe('57014')
        else await client.ended
      }
      const alive = clients.filter(
        (client) =>
          ['changed', 'refused'].includes(fateOf(client)) ||
          (fateOf(client) === 'reaped' && client.occupation === 'report'),
      )
      expect(pidsOf(clients.filter((client) => client.isAlive()))).toEqual(pidsOf(alive))
      await db.end(alive)
    }
    await target.close()
  },
)
