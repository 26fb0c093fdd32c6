import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { CLIENT_LIBRARIES } from '../../cli/clients.ts'
import { DEFAULT_PLAN, type DrillResult } from '../../cli/drill/drill.ts'
import { slotkeeper } from '../support/cli.ts'
import { application } from '../support/drill.ts'

const read = (file: string) => readFileSync(file, 'utf8')
const flowing = (text: string) => text.replace(/\s+/g, ' ')

describe('docs/clients.md says the same as the drill', () => {
  const page = read('docs/clients.md')
  test.each(CLIENT_LIBRARIES.map((library) => [library.name, library] as const))(
    '%s',
    (name, { asItComes, helps, snippet }) => {
      const [section = ''] = page.split(`\n### ${name}\n`)[1]?.split(/\n##/) ?? []
      expect(flowing(section)).toContain(`**As it comes**: ${asItComes}`)
      expect(flowing(section)).toContain(`**What helps**: ${helps}`)
      if (snippet) expect(section).toContain(`\`\`\`${snippet.language}\n${snippet.code}\n\`\`\``)
    },
  )

  test('and has no other library', () => {
    const section = page.split('\n## What helps, by library\n')[1]?.split('\n## ')[0] ?? ''
    const names = [...section.matchAll(/^### (.+)$/gm)].map(([, name]) => name)
    expect(names).toEqual(CLIENT_LIBRARIES.map(({ name }) => name))
  })
})

test('docs/reference.md names every field of the result of a drill, and its defaults', async () => {
  const args = ['drill', '--idle', '200ms', '--times', '1', '--json', '--', ...application('holds')]
  const { out } = await slotkeeper(args)
  const result = JSON.parse(out) as DrillResult
  const { library, cuts } = result
  const fields = [result, library, library?.snippet, ...cuts, ...cuts.flatMap(({ left }) => left)]
    .filter((part) => part !== undefined && part !== null)
    .flatMap(Object.keys)
    .concat('code', 'signal', 'sqlstate', 'message')
  expect(fields.length).toBeGreaterThan(35)
  const section = read('docs/reference.md').split('### The drill')[1]?.split('\n### ')[0]
  for (const field of fields) expect(section).toContain(`\`${field}\``)
  const { times, patienceMs, idleMs } = DEFAULT_PLAN
  const table = read('docs/reference.md').split('### The drill')[0]
  expect(table).toContain(`how often it ends the idle sessions; default ${times}`)
  expect(table).toContain(`\`--patience ${patienceMs / 1000}s\``)
  expect(table).toContain(`\`--idle ${idleMs / 1000}s\``)
})

describe('examples/drill.yml is a gate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-drill-example-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'schema.sql'), 'create table orders (id int primary key);')

  /** The step of the workflow that drills, as a shell runs it; with the built command, and on a port that is free. */
  const step = () => {
    const [, block = ''] = /- run: \|\n((?: {10}.*\n)+)/.exec(read('examples/drill.yml')) ?? []
    expect(block).toContain('npx slotkeeper drill')
    return block
      .replace(
        'npx slotkeeper drill',
        `${process.execPath} ${resolve('dist/cli.mjs')} drill --times 1`,
      )
      .replace('http://localhost:3000/', 'http://localhost:$(cat port)/')
  }

  const server = (listeners: string) => `
    const { createServer } = require('node:http')
    const { writeFileSync } = require('node:fs')
    const { Pool } = require('pg')
    const pool = new Pool({ connectionString: process.env.DATABASE_URL })
    ${listeners}
    const server = createServer(async (_, response) => {
      await pool.query('select * from orders').catch(console.error)
      response.end()
    }).listen(0, () => writeFileSync('port', String(server.address().port)))`

  test.each([
    [
      'passes',
      "pool.on('error', console.error); pool.on('connect', (client) => client.on('error', console.error))",
      0,
      'It survived',
    ],
    ['stops', '', 1, 'What would help'],
  ])('it %s an application', (_, listeners, code, words) => {
    writeFileSync(join(folder, 'server.js'), server(listeners))
    const { status, stdout, stderr } = spawnSync('sh', ['-c', step()], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR },
    })
    expect(status, stdout + stderr).toBe(code)
    expect(stdout).toContain(words)
  })
})
