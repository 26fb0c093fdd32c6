import { describe, expect, test } from 'vitest'
import { readMethods } from '../../../cli/libpq/authentication.ts'

describe('require_auth', () => {
  test.each([
    ['scram-sha-256', ['scram-sha-256']],
    ['scram-sha-256,md5', ['md5', 'scram-sha-256']],
    ['!password', ['none', 'md5', 'scram-sha-256']],
    ['!password,!md5,!none', ['scram-sha-256']],
    ['none,gss', ['none']],
  ])('%s', (text, expected) => {
    expect(readMethods(text)).toEqual(expected)
  })

  test.each(['gss', 'scram', 'md5,!password', 'md5,md5', 'md5,', '!'])('refuses %s', (text) => {
    expect(() => readMethods(text)).toThrow(`require_auth: found "${text}"`)
  })
})
