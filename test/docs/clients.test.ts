import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CLIENT_LIBRARIES } from '../../cli/clients.ts'
import { CLIENTS, type Client } from '../clients/clients.ts'
import { promised, showNotRun, withRows } from '../clients/page.ts'

const page = readFileSync('docs/clients.md', 'utf8')
const named = CLIENTS.map((client) => [client.name, client] as const)

test('the table of docs/clients.md has each client, and no other', () => {
  const [, table = ''] = page.split('<!-- clients -->')
  const names = [...table.matchAll(/^\| \[([^\]]+)\]/gm)].map(([, name]) => name)
  expect(names).toEqual(CLIENTS.map(({ name }) => name))
})

test.each(named)('%s: docs/clients.md promises that its setting helps', (_, client) => {
  const [asItComes, helped] = promised(page, client) ?? []
  expect(asItComes).toBeDefined()
  expect(helped === undefined).toBe(!client.hasSetting)
  const last = helped ?? asItComes
  expect(['not noticed', 'no session to end', 'an error, then well']).toContain(last)
})

describe('a program with a setting runs what docs/clients.md says to paste', () => {
  const sources = ({ program }: Client) =>
    program
      .map((part) => (/^[A-Z]\w+$/.test(part) ? `java/${part}.java` : part))
      .concat(program.includes('php/fpm.mjs') ? `php/${program[2]}.php` : [])
      .filter((part) => /\.(mjs|php|py|java|rb|go)$/.test(part))
      .map((file) => readFileSync(`test/clients/${file}`, 'utf8'))
      .join('\n')
  /** What counts of a snippet: each line without its comment; of one that leaves something out, what comes last. */
  const partsOf = (code: string) =>
    code.split('\n').map((line) => {
      const text = line.replace(/\s+\/\/.*$/, '').trim()
      return text.includes('...') ? (/'\w+': \w+(?=\W*$)/.exec(text)?.[0] ?? text) : text
    })

  test.each(
    CLIENT_LIBRARIES.filter(({ snippet }) => snippet).map(
      (library) => [library.name, library] as const,
    ),
  )('%s', (_, { id, snippet }) => {
    const programs = CLIENTS.filter(({ library, hasSetting }) => library === id && hasSetting).map(
      sources,
    )
    if (id === 'pgbouncer') return expect(programs).toEqual([])
    const text = programs.join('\n')
    for (const part of partsOf(snippet?.code ?? '')) expect(text).toContain(part)
  })
})

test('a row is replaced by its name, and the others stay', () => {
  const [first, second] = CLIENTS as [Client, Client]
  const changed = withRows(page, new Map([[first.name, showNotRun(first, 'no reason')]]), [
    first.name,
    second.name,
  ])
  expect(promised(changed, first)).toBeUndefined()
  expect(promised(changed, second)).toEqual(promised(page, second))
  expect(changed.startsWith(page.split('<!-- clients -->')[0] ?? '')).toBe(true)
  expect(changed.endsWith(page.split('<!-- end -->').at(-1) ?? '')).toBe(true)
})
