import { expect, test } from 'vitest'
import { type LoginFacts, obstacles } from '../../../lambda/postgres/role-login.ts'

const fine: LoginFacts = { canLogin: true, expired: false, connectionLimit: -1, byToken: false }

test.each<[string, 'secret' | 'iam', Partial<LoginFacts>, string[]]>([
  ['a password', 'secret', {}, []],
  ['a token', 'iam', { byToken: true }, []],
  ['no LOGIN', 'secret', { canLogin: false }, ['ALTER ROLE "o""dd" LOGIN;']],
  ['no LOGIN', 'iam', { byToken: true, canLogin: false }, ['ALTER ROLE "o""dd" LOGIN;']],
  ['a password that expired', 'secret', { expired: true }, ["VALID UNTIL 'infinity';"]],
  ['an expiry of no password', 'iam', { byToken: true, expired: true }, []],
  ['no connection allowed', 'secret', { connectionLimit: 0 }, ['CONNECTION LIMIT 2;']],
  ['one allowed', 'iam', { byToken: true, connectionLimit: 1 }, ['CONNECTION LIMIT 2;']],
  ['few allowed', 'secret', { connectionLimit: 2 }, []],
  ['tokens, and a password given', 'secret', { byToken: true }, ['REVOKE rds_iam FROM "o""dd";']],
  ['no tokens', 'iam', {}, ['GRANT rds_iam TO "o""dd";']],
  [
    'all at once',
    'secret',
    { canLogin: false, expired: true, connectionLimit: 0, byToken: true },
    [' LOGIN;', 'infinity', 'CONNECTION LIMIT', 'REVOKE rds_iam'],
  ],
])('%s (%s)', (_, auth, different, remedies) => {
  expect(obstacles('o"dd', auth, { ...fine, ...different })).toEqual(
    remedies.map((remedy) => expect.stringContaining(remedy)),
  )
})
