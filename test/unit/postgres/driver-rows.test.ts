import { describe, expect, test } from 'vitest'
import type { Snapshot } from '../../../lambda/core/session.ts'
import { SlotkeeperError } from '../../../lambda/errors.ts'
import { preflight } from '../../../lambda/postgres/preflight.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { hostileText } from '../../support/hostile.ts'
import { meet, sweep } from '../../support/misbehaving-server.ts'
import { fc } from '../../support/seeded.ts'
import {
  answerOf,
  type Cell,
  type Column,
  GREETING,
  HEAD,
  holders,
  message,
  OIDS,
  READY,
  result,
  rows,
  SESSION,
  SET,
  SNAPSHOT,
  snapshotOf,
  zero,
} from '../../support/wire.ts'

describe('malformed rows', () => {
  type Change = { at: number; how: 'drop' | 'rename' | 'retype' | 'say' | 'double' } & {
    name: string
    type: Column[1]
    cell: string | null
  }
  const change: fc.Arbitrary<Change> = fc.record({
    at: fc.nat(),
    how: fc.constantFrom('drop', 'rename', 'retype', 'say', 'double'),
    name: fc.oneof(fc.constantFrom('__proto__', 'pid', 'at', ''), hostileText),
    type: fc.constantFrom(...(Object.keys(OIDS) as Column[1][])),
    cell: fc.oneof(
      fc.constantFrom(null, '', '-1', '1e308', 'NaN', 'Infinity', '1e999', '{}', '99999999999999'),
      hostileText,
    ),
  })
  const alter: Record<Change['how'], (cell: Cell, change: Change) => Cell[]> = {
    drop: () => [],
    rename: ([[, type], said], { name }) => [[[name, type], said]],
    retype: ([[name], said], { type }) => [[[name, type], said]],
    say: ([column], { cell }) => [[column, cell]],
    double: ([column, said], { cell }) => [
      [column, said],
      [column, cell],
    ],
  }
  const altered = (cells: Cell[], changes: Change[]): Cell[] =>
    changes.reduce<Cell[]>((all, change) => {
      const place = change.at % all.length
      return all.flatMap((cell, index) =>
        index === place ? alter[change.how](cell, change) : [cell],
      )
    }, cells)

  /** Everything that is decided upon is what its type says. */
  function isSound({ sessions, slots, opened, atMs, ownPid, serverVersion }: Snapshot): void {
    const numbers = [slots.max, slots.reserved, opened, atMs, ownPid, serverVersion]
    expect(numbers.every((value) => Number.isFinite(value) && value >= 0)).toBe(true)
    expect(new Date(atMs).toISOString()).toMatch(/Z$/)
    for (const session of sessions) {
      const ages = [session.ageSeconds ?? 0, session.transactionSeconds ?? 0]
      expect([...ages, session.pid].every((value) => Number.isFinite(value))).toBe(true)
      expect(Math.max(...ages)).toBeLessThan(1e12)
      for (const flag of [session.listening, session.superuser ?? false]) {
        expect(typeof flag).toBe('boolean')
      }
      for (const text of [session.application, session.client, session.user ?? '']) {
        expect(typeof text).toBe('string')
      }
    }
  }

  test('give a named error or a valid snapshot', async () => {
    const changes = fc.array(change, { maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(changes, changes, async (inHead, inSession) => {
        const said = [result(altered(HEAD, inHead)), result(altered(SESSION, inSession))]
        const seen = await meet([GREETING, SET, snapshotOf(...said)], takeSnapshot)
        if (!(seen instanceof SlotkeeperError)) isSound(seen)
      }),
      { numRuns: 150 },
    )
  })

  test.each<[string, Buffer[]]>([
    ['no result', []],
    ['one result', [result(HEAD)]],
    ['no row of the server', [rows([], []), result(SESSION)]],
    ['two rows of the server', [rows([['at', 'text']], [['1'], ['1']]), result(SESSION)]],
    ['three results', [result(HEAD), result(SESSION), result(SESSION)]],
    ['results in the wrong order', [result(SESSION), result(HEAD)]],
  ])('%s', async (_, said) => {
    const seen = await meet([GREETING, SET, snapshotOf(...said)], takeSnapshot)
    expect(seen).toMatchObject({ kind: 'query', message: expect.stringContaining('answer') })
  })

  test.each(SESSION.map(([[name]]) => name))('no column %s', async (name) => {
    const cells = SESSION.filter(([column]) => column[0] !== name)
    const said = snapshotOf(result(HEAD), result(cells))
    expect(await meet([GREETING, SET, said], takeSnapshot)).toMatchObject({ kind: 'query' })
  })

  test.each([
    ['stateChanges', ''],
    ['stateChanges', '{}'],
    ['stateChanges', '{-1e308}'],
    ['stateChanges', '{1767225000.5,1767225000.5}'],
    ['stateChanges', '{{1767225000.5}}'],
    ['backendStarts', '{NaN}'],
    ['backendStarts', '{NULL}'],
    ['backendStarts', null],
    ['transactionStarts', '{Infinity}'],
    ['pids', '{NULL}'],
    ['pids', '{}'],
    ['pids', null],
    ['listening', null],
    ['superuser', null],
  ])('%s: %j', async (name, said) => {
    const cells = SESSION.map(([column, cell]): Cell => [column, column[0] === name ? said : cell])
    const seen = await meet([GREETING, SET, snapshotOf(result(HEAD), result(cells))], takeSnapshot)
    // A session whose owner was dropped is one that PostgreSQL shows.
    if (name === 'superuser') expect(seen).toMatchObject({ sessions: [{ superuser: null }] })
    else expect(seen).toMatchObject({ kind: 'query' })
  })

  test.each<[string, Cell[][]]>([
    ['nothing', []],
    ['no list', [holders(null, '[]')]],
    ['a number', [holders('42', '[]')]],
    ['pids that are none', [holders('["42"]', '[]')]],
    ['no slots', [[[['advisoryLocks', 'json'], '[42]']]]],
    ['two answers', [holders('[]', '[]'), holders('[42]', '[]')]],
  ])('with lock holders: %s', async (_, said) => {
    const before = [message('C', zero('DO')), rows([['missing', 'text']], [])]
    const answer = Buffer.concat([...before, ...said.map(result), READY])
    const seen = await meet([GREETING, SET, answer], preflight)
    expect(seen).toMatchObject({ kind: 'query', message: expect.stringContaining('answer') })
  })

  test('with outcomes of other sessions are not reported as reaped', async () => {
    const valid = fc.constantFrom('reaped', 'changed', 'gone', 'advisoryLock', 'replicationSlot')
    const one = fc.oneof(
      fc.record({ outcome: valid }),
      fc.record({ outcome: fc.constant('refused') }),
      fc.record({ outcome: hostileText, sqlstate: hostileText }),
      fc.jsonValue(),
    )
    const written = fc.oneof(
      fc.array(one, { maxLength: 3 }).map((list) => JSON.stringify(list)),
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc.constantFrom(null, '', '{', '[[[[', 'null'),
    )
    const isAnswer = (list: unknown) =>
      Array.isArray(list) &&
      list.length === 1 &&
      ['reaped', 'changed', 'gone', 'advisoryLock', 'replicationSlot'].includes(list[0]?.outcome)
    await fc.assert(
      fc.asyncProperty(written, async (outcomes) => {
        const ended = await meet([GREETING, SET, SNAPSHOT, answerOf(outcomes)], sweep)
        if (isAnswer(parsed(outcomes))) expect(ended).toEqual(parsed(outcomes))
        else expect(ended).toMatchObject([{ outcome: 'refused', sqlstate: expect.any(String) }])
      }),
      { numRuns: 150 },
    )
  })

  function parsed(json: string | null): unknown {
    try {
      return JSON.parse(json ?? '')
    } catch {
      return undefined
    }
  }
})
