import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { CLIENT_LIBRARIES } from '../../../../cli/clients.ts'
import { readDependencies } from '../../../../cli/drill/dependencies.ts'
import { recognise } from '../../../../cli/drill/recognise.ts'

test.each<[string, string[], string[], string[], string | undefined]>([
  ['a session', ['postgres.js'], ['php', 'artisan'], ['pg'], 'postgres.js'],
  ['the special one of two sessions', ['pdo', 'laravel'], [], [], 'laravel'],
  ['the command', [], ['php8.2', '/srv/artisan', 'queue:work'], ['pg'], 'laravel'],
  ['a plain PHP command', [], ['/usr/bin/php', 'worker.php'], [], 'pdo'],
  ['a Django command', [], ['python3', 'manage.py', 'work'], [], 'django'],
  ['a word that only contains another', [], ['./alphphp', 'x'], [], undefined],
  ['a dependency', [], ['node', 'x.js'], ['express', 'pg'], 'node-postgres'],
  ['the special one of two dependencies', [], ['node', 'x.js'], ['pg', 'knex'], 'node-orm'],
  ['nothing', [], ['./server'], [], undefined],
])('%s shows the library', (_, shown, command, dependencies, expected) => {
  expect(recognise(new Set(shown), command, dependencies)?.id).toBe(expected)
})

test('each library has an id of its own and at least one sign', () => {
  const ids = CLIENT_LIBRARIES.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  for (const { signs } of CLIENT_LIBRARIES) expect(Object.keys(signs)).not.toEqual([])
})

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-dependencies-'))
afterAll(() => rmSync(folder, { recursive: true }))

test.each<[string, string, string, string[]]>([
  [
    'package.json',
    '{ "dependencies": { "pg": "8" }, "devDependencies": { "knex": "3" } }',
    '/usr/bin/node',
    ['pg', 'knex'],
  ],
  ['package.json', '{ not JSON', 'node', []],
  ['composer.json', '{ "require": { "doctrine/dbal": "3" } }', 'php8.2', ['doctrine/dbal']],
  [
    'requirements.txt',
    '# all\nSQLAlchemy==2.0\npsycopg[binary]>=3 # x\n',
    'gunicorn',
    ['SQLAlchemy', 'psycopg'],
  ],
  ['Gemfile', `source "x"\ngem 'rails', '~> 7'\n  gem "sequel"\n`, 'bundle', ['rails', 'sequel']],
  ['pom.xml', '<dependency><artifactId>HikariCP</artifactId></dependency>', 'java', ['HikariCP']],
  ['build.gradle', "implementation 'com.zaxxer:HikariCP:5.1.0'", './gradlew', ['HikariCP']],
  [
    'go.mod',
    'module x\nrequire (\n\tgithub.com/jackc/pgx/v4 v4.18.3\n)\n',
    'go',
    ['github.com/jackc/pgx/v4'],
  ],
])('reads the dependencies in %s: %j', (file, text, program, expected) => {
  writeFileSync(join(folder, file), text)
  expect(readDependencies([program], folder)).toEqual(expected)
  rmSync(join(folder, file))
})

test('a manifest of another language counts only if the program could be anything', () => {
  writeFileSync(join(folder, 'package.json'), '{ "dependencies": { "pg": "8" } }')
  expect(readDependencies(['python3'], folder)).toEqual([])
  expect(readDependencies(['sh'], folder)).toEqual(['pg'])
  rmSync(join(folder, 'package.json'))
})
