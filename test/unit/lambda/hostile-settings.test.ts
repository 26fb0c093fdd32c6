import { describe, expect, test } from 'vitest'
import { credentialsOf } from '../../../lambda/aws/credentials.ts'
import type { SlotkeeperError } from '../../../lambda/errors.ts'
import { readSettings } from '../../../lambda/settings.ts'
import { hostileKey, hostileText, inTime, isHarmless, json } from '../../support/hostile.ts'
import { fc } from '../../support/seeded.ts'

const RUNS = { numRuns: 200 }

type Fields = Partial<Record<'username' | 'password' | 'host' | 'port' | 'dbname', unknown>>

describe('a secret', () => {
  /** What must never be told, wherever it stands in the secret. */
  const marked = fc.oneof(
    hostileText.map((text) => `hush${text}`),
    fc.constantFrom<unknown>(424242424242, [424242424242], { hush: 'hush' }, '', null, 0),
  )
  const field = <T>(valid: T) => fc.oneof(fc.constant(valid), marked)
  const written = fc.record(
    {
      username: field('u'),
      password: field('p'),
      host: field('h'),
      port: fc.oneof(field(6432), fc.constantFrom<unknown>('6432', 65536, 1.5, -1, 1e308)),
      dbname: field('d'),
      engine: marked,
      constructor: marked,
    },
    { requiredKeys: [] },
  )
  const overrides = fc.record(
    {
      host: fc.constant('oh'),
      port: fc.constant(1),
      user: fc.constant('ou'),
      database: fc.constant('od'),
    },
    { requiredKeys: [] },
  )

  /** Null and empty say the same as a missing field. */
  const given = (value: unknown) => (value === null || value === '' ? undefined : value)

  const isSound = ({ username, password, host, port, dbname }: Fields, instead?: string) =>
    [username, password, given(host) ?? instead, given(dbname) ?? 'd'].every(
      (value) => typeof value === 'string' && value,
    ) &&
    !/[\s:/@?#]/.test(instead ?? String(host)) &&
    [6432, '6432'].includes((given(port) ?? 6432) as string)

  /** Credentials, or an error that names fields alone. */
  function read(text: string, given: Parameters<typeof credentialsOf>[2]) {
    try {
      return credentialsOf('arn:x', text, given)
    } catch (error) {
      expect(error).toMatchObject({ kind: 'credentials' })
      const { message, stack, cause } = error as SlotkeeperError
      expect(message).toMatch(/^secret arn:x: /)
      expect(isHarmless(message)).toBe(true)
      expect(`${message}${stack}${String(cause)}`).not.toMatch(/hush|424242/)
      return undefined
    }
  }

  test('of any text or JSON', () => {
    const leaf = fc.oneof(
      hostileText.map((text) => `hush${text}`),
      fc.constant(424242424242),
    )
    const tree = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(
          fc.oneof(hostileKey, fc.constantFrom('username', 'password', 'host', 'port', 'dbname')),
          tie('node'),
        ),
      ),
    })).node
    const text = fc.oneof(
      hostileText.map((rest) => `hush${rest}`),
      tree.map((value) => JSON.stringify(value)),
    )
    fc.assert(
      fc.property(text, overrides, (secret, given) => {
        const result = read(secret, given)
        expect(result === undefined || typeof result.password === 'string').toBe(true)
      }),
      RUNS,
    )
  })

  test('that is almost valid', () => {
    fc.assert(
      fc.property(written, overrides, (secret, overriding) => {
        const result = read(JSON.stringify(secret), overriding)
        expect(result !== undefined).toBe(isSound(secret, overriding.host))
        if (result === undefined) return
        const second = overriding.database === undefined && given(secret.dbname)
        expect(result).toEqual({
          host: overriding.host ?? secret.host,
          port: overriding.port ?? Number(given(secret.port) ?? 5432),
          user: overriding.user ?? secret.username,
          password: secret.password,
          database: overriding.database ?? 'postgres',
          ...(second && { secondDatabase: second }),
        })
      }),
      RUNS,
    )
  })

  test('nested ten thousand levels deep', () => {
    const deep = `${'["hush",'.repeat(10_000)}1${']'.repeat(10_000)}`
    expect(inTime(() => read(`{"username": "u", "password": ${deep}}`, {}))).toBeUndefined()
    expect(inTime(() => read(deep, {}))).toBeUndefined()
  })
})

describe('an environment', () => {
  const sound = {
    SLOTKEEPER_TARGET: 'shop',
    SLOTKEEPER_MODE: 'observe',
    SLOTKEEPER_SECRET_ARN: 'arn:x',
  }
  const known =
    'TARGET MODE POLICY SECRET_ARN AUTH HOST PORT DATABASE USER TLS CA_FILE METRICS METRIC_SET NAMESPACE'
      .split(' ')
      .map((suffix) => `SLOTKEEPER_${suffix}`)
  const value = fc.oneof(
    hostileText,
    fc.constantFrom('reap', 'observe', 'iam', 'secret', 'off', 'emf', 'full', '5432', '127.0.0.1'),
    fc.constantFrom('file:..', 'file:none', 'file:', `file:${'x'.repeat(5000)}`, '{"keep": 1}'),
    json.map((input) => JSON.stringify(input)),
  )
  const anyName = fc.oneof(
    { arbitrary: fc.constantFrom(...known), weight: 8 },
    hostileKey.map((suffix) => `SLOTKEEPER_${suffix}`),
    hostileKey,
  )

  const isOurs = (variable: string) => variable.startsWith('SLOTKEEPER_')

  function read(env: Record<string, string>) {
    try {
      return readSettings(env, '/nowhere')
    } catch (error) {
      expect(error).toMatchObject({ kind: 'settings' })
      const [head, ...problems] = (error as SlotkeeperError).message.split('\n')
      expect(head).toBe('the configuration is not valid:')
      expect(problems.length).toBeGreaterThan(0)
      for (const problem of problems) {
        expect(problem).toMatch(/^ {2}SLOTKEEPER_/)
        expect(isHarmless(problem)).toBe(true)
      }
      return undefined
    }
  }

  test('of any variables gives settings, or all problems in harmless lines', () => {
    fc.assert(
      fc.property(fc.dictionary(anyName, value), fc.boolean(), (given, whole) => {
        const env = whole ? { ...sound, ...given } : given
        const settings = read(env)
        if (settings === undefined) return
        expect(settings.mode).toBe(env.SLOTKEEPER_MODE)
        expect(settings.target).toBe(env.SLOTKEEPER_TARGET)
        expect(Object.keys(env).filter((key) => isOurs(key) && !known.includes(key))).toEqual([])
      }),
      RUNS,
    )
  })
})
