import { Client, escapeIdentifier, escapeLiteral } from 'pg'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { foreignPattern } from '../../../lambda/core/foreign-pattern.ts'
import { judge } from '../../../lambda/core/judge.ts'
import { type Policy, parsePolicy } from '../../../lambda/core/policy.ts'
import type { Report } from '../../../lambda/core/report.ts'
import { safeJson } from '../../../lambda/core/text.ts'
import type { ReapVerdict } from '../../../lambda/core/verdict.ts'
import { connect, type Link } from '../../../lambda/postgres/connect.ts'
import { createGate, deadlineIn, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { reap } from '../../../lambda/postgres/reap.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { expressionOf, hostileText } from '../../support/hostile.ts'
import { fc } from '../../support/seeded.ts'
import {
  MAJOR,
  type OtherSession,
  REAPER_ROLES,
  type Role,
  testServer,
  until,
} from '../../support/server.ts'

const LOOK_MS = 5_000

const db = await testServer({ max_connections: '90' })
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')

const opened: Client[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.end().catch(() => undefined)))
})

const open = (role: Role = app, ...statements: string[]) => db.open(role, 'php', ...statements)

/** What the server makes of an application's name: 63 bytes of whole characters, in plain ASCII. */
function storedName(name: string): string {
  let cut = ''
  for (const character of name) {
    if (Buffer.byteLength(cut + character) > 63) break
    cut += character
  }
  const bytes = [...Buffer.from(cut)].map((byte) => {
    if (byte >= 32 && byte < 127) return String.fromCharCode(byte)
    return MAJOR >= 16 ? `\\x${byte.toString(16).padStart(2, '0')}` : '?'
  })
  return bytes.join('').slice(0, 63)
}

function parsed(input: unknown): Policy {
  const result = parsePolicy(input)
  if (!result.ok) throw new Error(result.problems.join())
  return result.value
}

async function sweepBy(
  match: object,
  mode: 'reap' | 'observe' = 'reap',
  credentials = db.credentials(reaper),
): Promise<Report> {
  const gate = createGate(async () => credentials, false)
  try {
    const policy = parsed({ rules: [{ name: 'named', state: 'idle', olderThan: '0s', match }] })
    return (await sweep(gate, { target: 'test', policy, mode }, deadlineIn(SWEEP_MS))).report
  } finally {
    await gate.close()
  }
}

const pidsOf = (list: { pid: number }[]) => list.map(({ pid }) => pid).sort((a, b) => a - b)
const setName = (name: string) => `set application_name = ${escapeLiteral(name)}`

/** None of them stands for others in a glob. */
const NAMES = [
  '\x1b[31mred\x1b[0m \x07',
  '\u202egpj.exe \u2066\u200b',
  `quotes ' '' " "" \` E'\\'`,
  'dollars $slotkeeper$ $$ $1',
  'line\r\nbreaks\ttabs',
  'back\\slashes\\u0041\\',
  '"}], "outcome": "reaped", [{"',
  "'; select pg_terminate_backend(pid) from pg_stat_activity; --",
  '😀 𝒳 é \u{e0041}',
  '\x9b\x7f\ufeff',
]

describe('applications', () => {
  test('with hostile names are reaped by exactly those names', async () => {
    const long = ['long '.repeat(13_000), `${'a'.repeat(61)}€${'€'.repeat(20_000)}`]
    const names = [...NAMES, ...long]
    const victims = await Promise.all(names.map((name) => open(app, setName(name))))
    const others = await Promise.all(names.map((name) => open(app, setName(`x${name}`))))
    const applications = names.map(storedName)
    const report = await sweepBy({ applications })
    expect(pidsOf(report.reaped)).toEqual(pidsOf(victims))
    expect(report.refused).toEqual([])
    for (const [index, { pid }] of victims.entries()) {
      const told = report.reaped.find((reaped) => reaped.pid === pid)
      expect(told?.application).toBe(applications[index])
    }
    expect(JSON.parse(safeJson(report))).toEqual(report)
    await Promise.all(victims.map(({ ended }) => ended))
    expect(others.every(({ isAlive }) => isAlive())).toBe(true)
  })

  test('with any name are reported as the server stores it and matched by globs', async () => {
    const sessions = await Promise.all(Array.from({ length: 20 }, () => open()))
    // No NUL and no half of a pair reaches a server.
    const name = hostileText.map((text) => Buffer.from(text.replaceAll('\0', '')).toString())
    const names = fc.array(name, { minLength: sessions.length, maxLength: sessions.length })
    await fc.assert(
      fc.asyncProperty(names, fc.nat(sessions.length - 1), async (given, which) => {
        await Promise.all(
          sessions.map(({ client }, index) => client.query(setName(given[index] ?? ''))),
        )
        const glob = storedName(given[which] ?? '') || '*'
        const meant = sessions.filter((_, index) =>
          expressionOf(glob).test(storedName(given[index] ?? '')),
        )
        // Refused, since it can hardly be a name: test/unit/core/foreign-pattern.test.ts.
        fc.pre(foreignPattern(glob) === undefined)
        const report = await sweepBy({ users: [app.user], applications: [glob] }, 'observe')
        expect(pidsOf(report.wouldReap)).toEqual(pidsOf(meant))
      }),
      { numRuns: 12 },
    )
  })

  test('that send a NUL do not affect the sweep', async () => {
    const victim = await open(app, setName('unharmed'))
    const harmed = await open()
    const refused = expect(harmed.client.query(setName('a\0b'))).rejects.toThrow()
    await refused
    expect((await sweepBy({ applications: ['unharmed'] })).reaped).toHaveLength(1)
    await victim.ended
  })
})

describe('roles and databases', () => {
  test('with hostile names are reaped by exactly those names', async () => {
    const long = '€'.repeat(30)
    // The server cuts a name to 63 bytes, and between characters.
    const names = [...NAMES, long].map((name) => ({
      name,
      kept: name.slice(0, name === long ? 21 : 63),
    }))
    const victims: OtherSession[] = []
    for (const { name, kept } of names) {
      await db.admin.query(`create role ${escapeIdentifier(name)} login password 'p'`)
      victims.push(await open({ user: kept, password: 'p' }))
    }
    const others = await Promise.all(names.map(() => open()))
    const users = names.map(({ kept }) => kept)
    const report = await sweepBy({ users })
    expect(pidsOf(report.reaped)).toEqual(pidsOf(victims))
    expect(report.reaped.map(({ user }) => user).sort()).toEqual(users.sort())
    expect(JSON.parse(safeJson(report))).toEqual(report)
    await Promise.all(victims.map(({ ended }) => ended))
    expect(others.every(({ isAlive }) => isAlive())).toBe(true)
  })

  test('databases with hostile names are matched by exactly those names', async () => {
    const names = NAMES.slice(1, 4)
    const victims: number[] = []
    for (const database of names) {
      await db.admin.query(`create database ${escapeIdentifier(database)}`)
      victims.push(await openIn(database))
    }
    const other = await open()
    const report = await sweepBy({ databases: names })
    expect(pidsOf(report.reaped)).toEqual(victims.sort((a, b) => a - b))
    expect(report.reaped.map(({ database }) => database).sort()).toEqual([...names].sort())
    expect(other.isAlive()).toBe(true)
  })
})

/** A session in another database; returns its pid. */
async function openIn(database: string, ...statements: string[]): Promise<number> {
  const client = new Client({ ...db.credentials(app, database), application_name: 'php' })
  client.on('error', () => undefined)
  await client.connect()
  opened.push(client)
  const { rows } = await client.query('select pg_backend_pid() as pid')
  for (const statement of statements) await client.query(statement)
  const { pid } = rows[0]
  await until(async () => (await db.stateOf(pid)) === 'idle')
  return pid
}

describe('query texts in another encoding than the database of the sweep', () => {
  const encodings = ['UTF8', 'LATIN1', 'SQL_ASCII', 'EUC_JP']

  test('do not hide any session', async () => {
    const pids: number[] = []
    for (const encoding of encodings) {
      await db.admin.query(
        `create database ${encoding} template template0 encoding '${encoding}' locale 'C'`,
      )
      // Without a conversion, so that the server holds these very bytes.
      const raw = encoding === 'EUC_JP' ? '' : `set client_encoding = '${encoding}'`
      const texts = encoding === 'EUC_JP' ? ["select '日本'"] : ["select 'é', '日本\u202e'"]
      pids.push(await openIn(encoding.toLowerCase(), raw, ...texts))
    }
    for (const encoding of encodings) {
      const from = db.credentials(reaper, encoding.toLowerCase())
      const report = await sweepBy({ users: [app.user] }, 'observe', from)
      expect(pidsOf(report.wouldReap)).toEqual(pids.sort((a, b) => a - b))
    }
  })
})

describe('the signal statement', () => {
  /** A link that tells what it was asked. */
  const overheard = (link: Link, said: string[]): Link => ({
    ...link,
    query: (sql, timeoutMs) => {
      said.push(sql)
      return link.query(sql, timeoutMs)
    },
  })
  /** The arrays of what identifies the sessions, and the instant until which signals are sent. */
  const DATA = /'\{[^}']*\}'::(int|float8|text)\[\]|stop_at constant [^;]*/g

  test('contains only numbers and states of the sessions, never their names', async () => {
    const victims = await Promise.all(NAMES.map((name) => open(app, setName(name))))
    const plain = await open(app, setName('plain'))
    const link = await db.link(reaper)
    const said: string[] = []
    const now = Date.now()
    const end = async (pids: number[]) => {
      const snapshot = await takeSnapshot(link, LOOK_MS)
      const verdicts = judge(
        { ...snapshot, sessions: snapshot.sessions.filter(({ pid }) => pids.includes(pid)) },
        parsed({ rules: [{ name: 'all', state: 'idle', olderThan: '0s' }] }),
      ) as ReapVerdict[]
      return reap(overheard(link, said), verdicts, SWEEP_MS, now)
    }
    expect(await end(pidsOf(victims))).toEqual(NAMES.map(() => ({ outcome: 'reaped' })))
    expect(await end([plain.pid])).toEqual([{ outcome: 'reaped' }])
    await link.close()

    const signals = said.filter((sql) => sql.includes('pg_terminate_backend'))
    const [hostile = '', harmless = ''] = signals.map((sql) => sql.replaceAll(DATA, ''))
    expect(signals).toHaveLength(2)
    expect(hostile).toBe(harmless)
    for (const [data] of signals.flatMap((sql) => [...sql.matchAll(DATA)])) {
      expect(data).toMatch(
        /^('\{(\d+(\.\d{1,6})?|"idle"|terminate)(,(\d+(\.\d{1,6})?|"idle"|terminate))*\}'::(int|float8|text)\[\]|stop_at constant timestamptz := to_timestamp\([\d.]+\))$/,
      )
    }
  })
})

test.each([
  'standard_conforming_strings = off',
  'extra_float_digits = 0',
  "datestyle = 'SQL, DMY'",
  "timezone = 'Asia/Kathmandu'",
])('the role setting %s does not change the sweep', async (setting) => {
  const particular = await db.role('particular', REAPER_ROLES)
  onTestFinished(async () => {
    await db.admin.query('drop role particular')
  })
  await db.admin.query(`alter role particular set ${setting}`)
  const victims = await Promise.all(Array.from({ length: 8 }, () => open()))
  const report = await sweepBy({ users: [app.user] }, 'reap', db.credentials(particular))
  expect(pidsOf(report.reaped)).toEqual(pidsOf(victims))
})

describe('credentials', () => {
  test('of any text fail with an error of Slotkeeper', async () => {
    const text = fc.oneof(hostileText, fc.constantFrom('x'.repeat(65_536), 'reaper\0', ''))
    const fields = fc.record({ user: text, password: text, database: text }, { requiredKeys: [] })
    await fc.assert(
      fc.asyncProperty(
        fields.filter((given) => Object.keys(given).length > 0),
        async (given) => {
          const credentials = { ...db.credentials(reaper), ...given }
          const result = await connect(credentials, false, 'client', LOOK_MS).catch(
            (error: unknown) => error,
          )
          expect(result).toMatchObject({ name: expect.stringMatching(/^Slotkeeper\./) })
        },
      ),
      { numRuns: 30 },
    )
  })
})
