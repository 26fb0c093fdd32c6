import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { application, drillFast } from '../../support/drill.ts'
import { hasEnded } from '../../support/process.ts'
import { policy } from '../../support/session.ts'

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-drill-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** So soon after the end of a session nothing is opened, and everything within this long. */
const NEVER_AT_ONCE = -1_000_000
const ALWAYS_AT_ONCE = 1_000_000

test('an application that opens its sessions again survives each cut and a restart', async () => {
  const result = await drillFast(application('survives'), {
    times: 2,
    restart: true,
    atOnceMs: NEVER_AT_ONCE,
  })
  const cut = { ended: 4, left: [], refused: [], churn: false, process: null }
  expect(result).toMatchObject({
    survived: true,
    lived: true,
    stoppedBecause: null,
    process: null,
    cuts: [
      { by: 'policy', ...cut },
      { by: 'policy', ...cut },
      { by: 'restart', ...cut, ended: expect.any(Number) },
    ],
  })
  for (const { cameBackMs, newSessions } of result.cuts) {
    expect(cameBackMs).toBeTypeOf('number')
    expect(newSessions).toBeGreaterThan(0)
  }
  expect(result.cuts[0]?.said[0]).toContain('lost a connection: terminating connection')
})

test('an application that ends with its sessions did not survive', async () => {
  const result = await drillFast(application('dies'), { times: 3 })
  expect(result).toMatchObject({
    survived: false,
    lived: false,
    conclusion: 'It did not survive: its process ended (exit code 1) when its sessions ended.',
    stoppedBecause: 'COMMAND ended by itself (exit code 1) before cut 2 of 3',
    process: { code: 1, signal: null },
    library: { id: 'node-postgres' },
  })
  expect(result.cuts).toMatchObject([{ cameBackMs: null, process: { code: 1 } }])
  expect(result.cuts[0]?.said.join('\n')).toContain('terminating connection due to administrator')
})

test('a pool that opens at once what was ended is churn', async () => {
  const result = await drillFast(application('reopens'), {
    idleMs: 2_000,
    atOnceMs: ALWAYS_AT_ONCE,
  })
  expect(result).toMatchObject({
    survived: true,
    cuts: [{ ended: 4, newSessions: 4, newAtOnce: 4, churn: true }],
  })
})

test('an application that nobody asks again did not come back', async () => {
  const result = await drillFast(application('asks-once'), { patienceMs: 500 })
  expect(result).toMatchObject({
    survived: false,
    lived: true,
    process: null,
    cuts: [{ ended: 1, cameBackMs: null, newSessions: 0 }],
    conclusion: expect.stringContaining('Perhaps nobody asked it to'),
  })
})

test('an application that ends by itself after it came back has lived', async () => {
  const file = join(folder, 'stop')
  let pid = 0
  const result = await drillFast(application('survives', '', file), {
    times: 2,
    show: (line) => {
      pid ||= Number(/^pid (\d+)$/.exec(line)?.[1] ?? 0)
    },
    // Nothing else happens until this returns, so the second cut comes too late for sure.
    tell: (text) => {
      if (!text.includes('came back')) return
      writeFileSync(file, '')
      while (!hasEnded(pid)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    },
  })
  expect(result).toMatchObject({
    survived: true,
    lived: true,
    process: { code: 0, signal: null },
    cuts: [{ process: null }],
    stoppedBecause: 'COMMAND ended by itself (exit code 0) before cut 2 of 2',
  })
})

test.each([
  ['one listener', [], { survived: false, process: { code: 1 } }],
  ['both listeners', ['both'], { survived: true, process: null }],
])('a transaction is ended on request only: node-postgres with %s', async (_, args, outcome) => {
  const command = application('in-transaction', ...args)
  const patient = policy({ rules: [{ name: 'idle', state: 'idle', olderThan: '30s' }] })
  const ended = await drillFast(command, { policy: patient, inTransaction: true })
  expect(ended).toMatchObject(outcome)
  expect(ended.cuts).toMatchObject([{ ended: 1, endedInTransaction: 1 }])
  const left = await drillFast(command, { policy: patient, patienceMs: 1_000 })
  expect(left.cuts.every(({ endedInTransaction }) => endedInTransaction === 0)).toBe(true)
  expect(left.process).toBeNull()
})

test('a listener and the holder of an advisory lock are left, and named', async () => {
  const result = await drillFast(application('holds'), { times: 2 })
  expect(result).toMatchObject({ survived: true })
  for (const { ended, left, said } of result.cuts) {
    expect(ended).toBeGreaterThan(0)
    expect(left).toEqual([
      { sessions: 1, why: 'listens for notifications' },
      { sessions: 1, why: 'holds an advisory lock' },
    ])
    expect(said).toEqual([])
  }
})

test('postgres.js is recognised by its sessions, and survives as it comes', async () => {
  const result = await drillFast(application('postgres-js'))
  expect(result).toMatchObject({ survived: true, library: { id: 'postgres.js' } })
})

test('an application under a load of its own is cut although it never rests', async () => {
  const result = await drillFast(application('survives', 'load'), { patienceMs: 2_000 })
  expect(result.cuts).toHaveLength(1)
  expect(result.cuts[0]?.ended).toBeGreaterThan(0)
})

test('a drill ends its waiting when its caller has seen enough', async () => {
  let isCut = false
  const result = await drillFast(application('asks-once'), {
    times: 2,
    patienceMs: 3_600_000,
    tell: (text) => {
      isCut ||= text.startsWith('cut 1 of 2: ended')
    },
    isEnough: () => isCut,
  })
  expect(result).toMatchObject({
    survived: false,
    cuts: [{ ended: 1, cameBackMs: null }],
    stoppedBecause: 'enough was seen before cut 2 of 2',
  })
})
