import { describe, expect, test } from 'vitest'
import { foreignPattern } from '../../../lambda/core/foreign-pattern.ts'
import { parsePolicy } from '../../../lambda/core/policy.ts'

describe('a LIKE or regular expression pattern is refused with the glob to write instead', () => {
  test.each<[string, string]>([
    ['report_%', '"report_*"'],
    ['%_report', '"*_report"'],
    ['%report%', '"*report*"'],
    ['%', '"*"'],
    ['shop_%_worker', '"shop_*_worker"'],
    ['report\\_%', '"report_*"'],
    ['^$', 'it with the wildcards of a glob'],
    ['^report_.*$', '"report_*"'],
    ['^report', '"report"'],
    ['/^report_', '"report_"'],
    ['report_.*', '"report_*"'],
    ['report_.+', '"report_?*"'],
    ['.*', '"*"'],
    ['.+', '"?*"'],
    ['.*report.*', '"*report*"'],
    ['shop\\.web', '"shop.web"'],
    ['report_\\d', '"report_?"'],
    ['report_\\d+', '"report_?*"'],
    ['report_\\d{4}', '"report_*"'],
    ['\\w*', '"*"'],
    ['\\breport\\b', '"report"'],
    ['report_[0-9]', '"report_?"'],
    ['report_[0-9]+', '"report_?*"'],
    ['report_[a-z]*', '"report_*"'],
    ['[A-Za-z0-9_-]+_report', '"?*_report"'],
    ['report_[^x]', '"report_?"'],
    ['report_[[:digit:]]', '"report_?"'],
    ['report_[abc]+', 'it with the wildcards of a glob'],
    ['(?i)report', '"report"'],
    ['(a|b)', 'one entry for each name'],
    ['pg_dump|pgboss', 'one entry for each name'],
    ['report_(daily|weekly)', 'one entry for each name'],
    ['report_{daily,weekly}', 'one entry for each name'],
  ])('%s: %s', (pattern, instead) => {
    expect(foreignPattern(pattern)).toContain(`: write ${instead}`)
  })

  test.each(['users', 'databases', 'applications'])('in %s', (field) => {
    for (const path of ['scope', 'protect[0]', 'rules[0].match']) {
      const match = { [field]: ['shop', 'report_%'] }
      const rule = { name: 'a', state: 'idle', olderThan: '1m' }
      const parsed = parsePolicy({
        ...(path === 'scope' ? { scope: match } : {}),
        ...(path === 'protect[0]' ? { protect: [match] } : {}),
        rules: [path === 'rules[0].match' ? { ...rule, match } : rule],
      })
      expect(parsed).toMatchObject({
        problems: [
          expect.stringMatching(
            /^policy\.[^:]*\[1\]: expected .* LIKE: write "report_\*" .*, found "report_%"$/,
          ),
        ],
      })
      expect(parsed.ok || parsed.problems[0]).toContain(`policy.${path}.${field}[1]: `)
    }
  })
})

describe('a plausible name or glob is accepted', () => {
  test.each([
    'shop_app',
    '_',
    'shop.app',
    'shop-app',
    'anna@example.com',
    'svc-shop$',
    'v$session',
    '$user',
    'my%20app',
    'caf%C3%A9',
    'a+b',
    'C++',
    'shop (web)',
    'worker (?)',
    'puma: cluster worker 0: 22 [shop-web]',
    'sidekiq 6.5.12 shop [0 of 10 busy]',
    'worker[1]',
    'DBeaver 23.2.1 - Main <shop>',
    'DBeaver 23.2.*',
    'com.example.*',
    '10.0.*',
    'node-1.?',
    'shop*',
    '*',
    '**',
    '?',
    'shop | worker',
    'C:\\Program Files\\shop\\worker.exe',
    'CORP\\anna',
    '\\\\server\\share',
    '/usr/bin/worker',
    '{shop}',
    'app-{0}',
    'a^b',
    '\\xc3\\xa9t\\xc3\\xa9',
    "it's",
    '名前',
  ])('%s', (name) => {
    expect(foreignPattern(name)).toBeUndefined()
  })
})

test('each suggestion is itself accepted', () => {
  for (const name of ['100%', '^', 'a|b', '[a-z]', 'x\\d', '{a,b}']) {
    expect(foreignPattern(name)).toBeDefined()
    expect(foreignPattern(name.replace(/[%^|[\]\\{},]/g, '?'))).toBeUndefined()
  }
})
