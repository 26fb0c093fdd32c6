import { expect, test } from 'vitest'
import { createRole, grants, type RoleRequest } from '../../../lambda/postgres/role.ts'

const base: RoleRequest = { role: 'reaper', serverVersion: 150000, onRds: false, auth: 'secret' }

test.each<[string, Partial<RoleRequest>, string[]]>([
  [
    'community 15',
    {},
    [
      'GRANT pg_monitor TO "reaper";',
      'GRANT pg_signal_backend TO "reaper";',
      'ALTER ROLE "reaper" REPLICATION;',
    ],
  ],
  [
    'community 16',
    { serverVersion: 160000 },
    [
      'GRANT pg_monitor TO "reaper";',
      'GRANT pg_signal_backend TO "reaper";',
      'ALTER ROLE "reaper" REPLICATION;',
      'GRANT pg_use_reserved_connections TO "reaper";',
    ],
  ],
  [
    'RDS',
    { onRds: true },
    [
      'GRANT pg_monitor TO "reaper";',
      'GRANT pg_signal_backend TO "reaper";',
      'GRANT rds_replication TO "reaper";',
    ],
  ],
  [
    'RDS with IAM',
    { onRds: true, auth: 'iam' },
    [
      'GRANT pg_monitor TO "reaper";',
      'GRANT pg_signal_backend TO "reaper";',
      'GRANT rds_iam TO "reaper";',
      'GRANT rds_replication TO "reaper";',
    ],
  ],
  [
    'a name with a quote',
    { role: 'a"b' },
    [
      'GRANT pg_monitor TO "a""b";',
      'GRANT pg_signal_backend TO "a""b";',
      'ALTER ROLE "a""b" REPLICATION;',
    ],
  ],
])('%s', (_, different, expected) => {
  expect(grants({ ...base, ...different }).map(({ sql }) => sql)).toEqual(expected)
})

test('only the ways into a full server are optional', () => {
  const list = grants({ ...base, serverVersion: 180000 })
  expect(list.map(({ essential }) => essential)).toEqual([true, true, false, false])
})

test('drops, revokes and resets nothing', () => {
  const all = [createRole('reaper', 'p'), ...grants(base).map(({ sql }) => sql)].join('\n')
  expect(all).not.toMatch(/drop|revoke|reset|NOREPLICATION|ALTER ROLE .* PASSWORD/i)
})
