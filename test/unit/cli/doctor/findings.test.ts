import { describe, expect, test } from 'vitest'
import { diagnose } from '../../../../cli/doctor/diagnose.ts'
import type { FindingId } from '../../../../cli/doctor/diagnosis.ts'
import { heldUnderReaping } from '../../../../cli/doctor/findings/churn.ts'
import type { Form } from '../../../../cli/doctor/last-query.ts'
import type { Session } from '../../../../lambda/core/session.ts'
import { found, sqlOf } from '../../../support/doctor.ts'
import { observed, role } from '../../../support/observed.ts'
import { session } from '../../../support/session.ts'

// 97 usable slots: a tenth is 10.
const many = (count: number, different: Partial<Session> = {}) =>
  Array.from({ length: count }, () => session({ ageSeconds: 5400, ...different }))
const idsOf = (...watched: Parameters<typeof observed>) =>
  diagnose(observed(...watched)).findings.map(({ id }) => id)

describe('slots', () => {
  test.each<[sessions: number, id: FindingId | undefined]>([
    [97, 'full'],
    [99, 'full'],
    [96, 'nearly-full'],
    [78, 'nearly-full'],
    [77, undefined],
    [1, undefined],
  ])('%i of 97 used: %s', (count, id) => {
    const ids = idsOf([many(count, { ageSeconds: 1 })])
    expect(ids.filter((found) => found.includes('full'))).toEqual(id === undefined ? [] : [id])
  })

  test('the fullest look counts', () => {
    const everyone = many(90)
    const { findings } = diagnose(observed([everyone, everyone.slice(0, 40)]))
    const [nearly] = findings.filter(({ id }) => id === 'nearly-full')
    expect(nearly?.title).toContain('7 slots left of 97 at the fullest moment')
  })

  test('a server that was full a moment ago is not called full now', () => {
    const everyone = many(97)
    const [full] = diagnose(observed([everyone, everyone.slice(0, 60)])).findings
    expect(full).toMatchObject({
      id: 'full',
      title: expect.stringMatching(
        /^All slots were taken at 1 of 2 looks, and 37 are free now: .* holds up to 97 of 97/,
      ),
    })
  })

  test('a server that refused one look was full', () => {
    expect(idsOf([many(20)], { refused: true })).toContain('full')
  })

  test.each<[name: string, counts: number[], minutesLeft: number | undefined]>([
    ['a leak', [40, 42, 44, 46], 0.4],
    ['a slow one', [40, 41, 42, 43], 0.9],
    ['two more are no trend', [40, 41, 41, 42], undefined],
    ['a pool that opens at once', [40, 50, 50, 50], undefined],
    ['a burst that goes again', [40, 50, 60, 45], undefined],
    ['a server that empties', [60, 50, 40, 30], undefined],
  ])('filling: %s', (_, counts, minutesLeft) => {
    const everyone = many(100)
    const { findings } = diagnose(observed(counts.map((count) => everyone.slice(0, count))))
    const [filling] = findings.filter(({ id }) => id === 'filling')
    expect(filling?.evidence.minutesLeft).toEqual(minutesLeft)
  })
})

describe('hoard', () => {
  test.each<[name: string, sessions: Session[], is: boolean]>([
    ['a tenth, all idle', many(10), true],
    ['less than a tenth', many(9), false],
    [
      'most idle for over a minute',
      [...many(6, { ageSeconds: 61 }), ...many(4, { ageSeconds: 60 })],
      true,
    ],
    ['half of them', [...many(5, { ageSeconds: 61 }), ...many(5, { ageSeconds: 60 })], false],
    ['at work', many(20, { state: 'active' }), false],
    [
      'one session from each of many clients',
      many(12).map((one, index) => ({ ...one, client: `10.0.0.${index}` })),
      true,
    ],
    [
      'a process id in each name',
      many(12).map((one, index) => ({ ...one, application: `puma ${index}` })),
      true,
    ],
    ['two roles of five', [...many(5), ...many(5, { user: 'crm_app' })], false],
  ])('%s', (_, sessions, is) => {
    expect(idsOf([sessions]).includes('hoard')).toBe(is)
  })

  test('what is proposed follows from what was seen', () => {
    const before = [...many(60), ...many(1, { ageSeconds: 250 })]
    const after = before.map((one, index) =>
      index < 60 ? one : { ...one, stateChange: '9', ageSeconds: 0.5 },
    )
    const diagnosis = diagnose(observed([before, after]))
    const [finding] = found(diagnosis, 'no-timeouts')
    // Twice 250 s is under 10 min; half of the median of 90 min is over the longest that is proposed.
    expect(sqlOf(finding)).toEqual(["ALTER ROLE shop_app SET idle_session_timeout = '15min';"])
    expect(finding?.remedies[0]?.why).toContain(
      'The longest idle time that was followed by a use was 4m 10s',
    )
  })

  test.each([
    [250, '10min'],
    [100, '5min'],
  ])('a timeout is twice what came back (%i s) or more: %s', (ageSeconds, written) => {
    const before = [...many(60, { ageSeconds: 480 }), ...many(1, { ageSeconds })]
    const after = before.map((one, index) => (index < 60 ? one : { ...one, stateChange: '9' }))
    const [finding] = found(diagnose(observed([before, after])), 'no-timeouts')
    expect(sqlOf(finding)).toEqual([`ALTER ROLE shop_app SET idle_session_timeout = '${written}';`])
  })

  test('sessions that come back after a long time get no timeout', () => {
    const before = many(20, { ageSeconds: 1000 })
    const after = before.map((one, index) => (index > 0 ? one : { ...one, stateChange: '9' }))
    const diagnosis = diagnose(observed([before, after]))
    expect(sqlOf(found(diagnosis, 'no-timeouts')[0])).toEqual([])
  })

  test('listeners and holders of locks get no timeout', () => {
    const sessions = [...many(20), ...many(1, { listening: true })]
    const diagnosis = diagnose(observed([sessions]))
    const [finding] = found(diagnosis, 'no-timeouts')
    expect(finding?.title).toContain('1 of its sessions listen or hold a lock')
    expect(sqlOf(finding)).toEqual([])
  })

  test.each<[name: string, others: Session[], form: Form]>([
    ['a pooler', many(12, { application: '' }), 'discard all'],
    ['a listener', many(1, { application: 'mailer', listening: true }), 'other'],
  ])('a role that has another application with %s gets no timeout', (_, others, form) => {
    const diagnosis = diagnose(
      observed([[...many(20, { application: 'web' }), ...others]], { form }),
    )
    expect(JSON.stringify(diagnosis.findings)).not.toMatch(/SET idle_session_timeout/)
  })

  test.each([
    [50, []],
    [95, ['ALTER ROLE shop_app CONNECTION LIMIT 87;']],
  ])('a limit of %i is not raised', (limit, sql) => {
    const base = observed([many(97)])
    const { roles } = base.facts
    if (roles) roles.roles = [role('reaper'), role('shop_app', { limit })]
    const remedies = found(diagnose(base), 'hoard').flatMap(sqlOf)
    expect(remedies.filter((text) => text.includes('LIMIT'))).toEqual(sql)
  })

  test('a limit is never under what is at work', () => {
    const sessions = [...many(40), ...many(35, { state: 'active' })]
    const diagnosis = diagnose(observed([sessions]))
    expect(found(diagnosis, 'hoard')).toHaveLength(1)
    expect(sqlOf(found(diagnosis, 'no-limit')[0])).toEqual([
      'ALTER ROLE shop_app CONNECTION LIMIT 87;',
    ])
    const busier = diagnose(observed([[...many(45), ...many(44, { state: 'active' })]]))
    expect(found(busier, 'no-limit')[0]?.title).toContain('uses too many at once')
    expect(sqlOf(found(busier, 'no-limit')[0])).toEqual([])
  })

  test('a superuser gets no limit and no timeout', () => {
    const base = observed([many(20, { superuser: true })])
    const { roles } = base.facts
    if (roles) roles.roles = [role('reaper'), role('shop_app', { superuser: true })]
    const { findings } = diagnose(base)
    const text = JSON.stringify(findings)
    expect(findings.map(({ id }) => id)).toContain('hoard')
    expect(text).not.toContain('CONNECTION LIMIT')
    expect(text).not.toMatch(/ALTER ROLE \w+ SET idle_session_timeout/)
  })
})

describe('what a remedy reaches', () => {
  const texts = (...watched: Parameters<typeof observed>) =>
    diagnose(observed(...watched)).findings.flatMap(({ remedies }) => remedies)

  test('many small applications are ended without the large one of their role', () => {
    const small = Array.from({ length: 20 }, (_, index) =>
      session({ application: `worker-${index}`, ageSeconds: 5400 }),
    )
    const all = texts([[...small, ...many(20, { application: "it's web" })]])
    const ends = all.map(({ text }) => text).filter((text) => text.includes('terminate'))
    expect(ends.find((text) => text.includes('NOT IN'))).toContain(
      "AND application_name NOT IN ('it''s web')",
    )
    expect(ends.every((text) => text.includes('application_name'))).toBe(true)
  })

  test('a timeout and a policy suit the other applications of the role', () => {
    const hoard = many(20, { application: 'worker', ageSeconds: 480 })
    const web = many(12, { application: 'web', ageSeconds: 250 })
    const after = web.map((one) => ({ ...one, ageSeconds: 1, stateChange: '9' }))
    const all = texts([
      [...hoard, ...web],
      [...hoard, ...after],
    ]).map(({ text }) => text)
    expect(all).toContain("ALTER ROLE shop_app SET idle_session_timeout = '10min';")
    expect(all.find((text) => text.includes('olderThan'))).toContain('"10m"')
  })

  test('a policy counts all sessions of the role that it would end', () => {
    const all = texts([[...many(20, { application: 'a' }), ...many(12, { application: 'b' })]])
    const policy = all.find(({ kind }) => kind === 'policy')
    expect(policy?.why).toContain('would now end at most 32 sessions')
  })

  test('a timeout is set where it has an effect', () => {
    const base = observed([many(20)])
    const name = 'idle_session_timeout'
    base.facts.roles?.overrides.push({ database: 'shop', role: 'shop_app', name, value: '0' })
    expect(sqlOf(found(diagnose(base), 'no-timeouts')[0])).toEqual([
      `ALTER ROLE shop_app IN DATABASE "shop" SET idle_session_timeout = '15min';`,
    ])
  })

  test('a superuser gets no policy, which would never end its sessions', () => {
    const base = observed([many(20, { superuser: true })])
    const { roles } = base.facts
    if (roles) roles.roles = [role('reaper'), role('shop_app', { superuser: true })]
    const remedies = diagnose(base).findings.flatMap((finding) => finding.remedies)
    expect(remedies.filter(({ kind }) => kind === 'policy')).toEqual([])
  })

  test("a pooler's role gets no limit", () => {
    const { findings } = diagnose(
      observed([many(90, { application: '' })], { form: 'discard all' }),
    )
    expect(findings.map(({ id }) => id)).toContain('pooler')
    expect(findings.map(({ id }) => id)).not.toContain('no-limit')
    expect(JSON.stringify(findings)).not.toContain('CONNECTION LIMIT')
  })

  test('a pool that fills the server gets its settings', () => {
    const everyone = many(46, { application: 'node' })
    const looks = [40, 42, 44, 46].map((count) => everyone.slice(0, count))
    const [finding] = found(diagnose(observed(looks)), 'filling')
    expect(finding?.remedies.map(({ kind }) => kind)).toEqual(['sql', 'application'])
  })

  test.each([
    ['a few hosts', 6, 'max: 2'],
    ['more hosts than slots for two each', 60, 'max: 1'],
  ])('a pool of one is proposed only where two do not fit: %s', (_, hosts, size) => {
    const sessions = many(60, { application: 'node' }).map((one, index) => ({
      ...one,
      client: `10.0.1.${index % hosts}`,
    }))
    const [finding] = found(diagnose(observed([sessions])), 'hoard')
    expect(finding?.remedies[0]?.text).toContain(`${size},`)
  })
})

describe('blocking by a session at work', () => {
  const dump = session({ application: 'pg_dump', state: 'active', ageSeconds: 90 })
  const migration = session({ application: 'migrate', state: 'active', ageSeconds: 80 })
  const readers = many(4, { state: 'active', ageSeconds: 80 })
  const waitFor = (...blockers: Session[]) => blockers.map(({ pid }) => pid)
  const waiting = [
    { pid: migration.pid, seconds: 80, blockedBy: waitFor(dump) },
    ...readers.map(({ pid }) => ({ pid, seconds: 80, blockedBy: waitFor(migration) })),
  ]

  test('what keeps the others behind it can be canceled instead', () => {
    const sessions = [dump, migration, ...readers]
    const [finding] = found(diagnose(observed([sessions], { waiting })), 'blocking')
    expect(sqlOf(finding)).toEqual([
      expect.stringMatching(new RegExp(`pg_cancel_backend.*\\n.* = ${migration.pid}\\n`)),
    ])
    const why = finding?.remedies[0]?.why
    expect(why).toContain('4 sessions behind it can go on')
    expect(why).toContain(`SELECT pg_terminate_backend(${dump.pid});`)
    expect(finding?.remedies.map(({ text }) => text)).toContain("SET lock_timeout = '3s';")
  })

  test('where nobody is behind another one, only the session itself is ended', () => {
    const sessions = [dump, migration]
    const [finding] = found(
      diagnose(observed([sessions], { waiting: waiting.slice(0, 1) })),
      'blocking',
    )
    expect(sqlOf(finding)).toEqual([expect.stringContaining('pg_terminate_backend')])
  })

  test('a session that sleeps in a transaction is ended, and nothing else', () => {
    const sleeper = { ...dump, state: 'idle in transaction' as const }
    const sessions = [sleeper, migration, ...readers]
    const [finding] = found(diagnose(observed([sessions], { waiting })), 'blocking')
    expect(sqlOf(finding)).toEqual([expect.stringContaining('pg_terminate_backend')])
  })
})

describe('churn', () => {
  /** Sessions that are new in the look are opened just before it. */
  const opened = (look: number) =>
    session({ backendStart: `${1_767_225_600 + look - 0.5}`, ageSeconds: 0.4 })

  test('what comes back as fast as it goes', () => {
    const stay = many(20, { backendStart: '1767225000', ageSeconds: 3 })
    const diagnosis = diagnose(
      observed([0, 1, 2, 3].map((look) => [...stay, ...[1, 2, 3].map(() => opened(look))])),
    )
    const [finding] = found(diagnosis, 'churn')
    expect(finding?.evidence).toMatchObject({ opened: 9, ended: 9 })
    expect(finding?.remedies.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['application', 'sql']),
    )
    expect(diagnosis.plan.find(({ option }) => option === 'pooler')?.take).toBe(true)
    expect(diagnosis.plan.find(({ option }) => option === 'stricter-policy')?.take).toBe(false)
  })

  test('a pool that grows while a few of it end is none', () => {
    const before = many(20, { backendStart: '1767225000', ageSeconds: 3 })
    const after = [...before.slice(5), ...Array.from({ length: 30 }, () => opened(1))]
    expect(idsOf([before, after])).not.toContain('churn')
  })

  test('a fleet that is between two lives at the last look is still the cause', () => {
    const waves = [0, 1, 2].map((look) => Array.from({ length: 97 }, () => opened(look)))
    const loggingIn = many(30, { user: null, database: null, application: '', state: 'starting' })
    const diagnosis = diagnose(observed([...waves, loggingIn]))
    expect(diagnosis.findings[0]?.title).toMatch(
      /^All slots were taken at 3 of 4 looks, and \d+ are free now: shop_app@shop "php"/,
    )
    expect(diagnosis.findings.map(({ id }) => id)).toContain('churn')
    expect(JSON.stringify(diagnosis.findings)).not.toContain('-@-')
  })

  test('the last look may be one of rest', () => {
    const wave = (look: number) => Array.from({ length: 20 }, () => opened(look))
    const looks = [wave(0), wave(1), wave(2), wave(3), wave(4).slice(0, 8)]
    expect(idsOf(looks)).toContain('churn')
  })

  test.each<[name: string, looks: Session[][]]>([
    ['a pool that shrinks', [many(20), many(10)]],
    ['a pool that grows', [[], Array.from({ length: 20 }, () => opened(1))]],
    [
      'two of twenty',
      [
        [...many(18), ...many(2)],
        [...many(18), opened(1), opened(1)],
      ],
    ],
  ])('none: %s', (_, looks) => {
    const [before = [], after = []] = looks
    const stay = before.slice(0, after.length)
    expect(idsOf([before, [...stay, ...after.slice(stay.length)]])).not.toContain('churn')
  })

  test('sessions that somebody ends all the time', () => {
    const young = many(30, { backendStart: '1767225550', ageSeconds: 20 })
    const counters = {
      database: 'shop',
      sessions: 5000,
      abandoned: 0,
      fatal: 0,
      killed: 4000,
      activeSeconds: 10,
      sessionSeconds: 10,
      resetAt: null,
    }
    expect(idsOf([young], { counters: [counters] })).toContain('churn')
    expect(idsOf([young], { counters: [{ ...counters, killed: 59 }] })).not.toContain('churn')
    const old = young.map((one) => ({ ...one, backendStart: '1767225400' }))
    expect(idsOf([old], { counters: [counters] })).not.toContain('churn')
  })

  test.each<[workers: number, pause: number, held: number]>([
    [196, 30, 196],
    [196, 120, 98],
    [34, 600, 3],
  ])(
    '%i workers that pause %i s hold %i slots under the policy of the incident',
    (workers, pause, held) => {
      expect(heldUnderReaping(workers, pause)).toBe(held)
    },
  )
})

describe('poolers', () => {
  test.each<[name: string, different: Partial<Session>, form: Form, is: boolean]>([
    ['DISCARD ALL and no name', { application: '' }, 'discard all', true],
    ['DISCARD ALL of an application with a name', { application: 'shop' }, 'discard all', false],
    ['RDS Proxy', { user: 'rdsproxyadmin', application: '' }, 'other', true],
    ['PgBouncer', { application: 'pgbouncer' }, 'other', true],
    ['Supavisor', { application: 'Supavisor' }, 'other', true],
    ['PgCat', { application: 'pgcat' }, 'other', true],
    ['pgpool', { application: 'pgpool' }, 'other', true],
    ['Odyssey', { application: 'odyssey' }, 'other', true],
    ['no pooler', { application: 'php' }, 'other', false],
  ])('%s', (_, different, form, is) => {
    const diagnosis = diagnose(observed([many(20, different)], { form }))
    expect(found(diagnosis, 'pooler').length > 0).toBe(is)
    const text = JSON.stringify(diagnosis.findings)
    expect(/SET idle_session_timeout/.test(text)).toBe(!is)
  })

  test('behind-pooler', () => {
    const base = observed([many(1)])
    expect(idsOf([many(1)])).not.toContain('behind-pooler')
    base.facts.throughPooler = true
    expect(found(diagnose(base), 'behind-pooler')).toMatchObject([{ severity: 'warning' }])
  })
})

describe('the plan', () => {
  const planOf = (sessions: Session[]) =>
    Object.fromEntries(
      diagnose(observed([sessions])).plan.map(({ option, take }) => [option, take]),
    )

  test.each<[name: string, sessions: Session[], taken: string[]]>([
    ['a hoard', many(60, { application: 'shop-web' }), ['smaller-pools', 'stricter-policy']],
    ['processes with a session each', many(60), ['smaller-pools', 'pooler', 'stricter-policy']],
    ['all at work', many(90, { state: 'active' }), ['raise-limit']],
    ['nothing', many(3), []],
    [
      'many hosts with a session each',
      many(60).map((one, index) => ({ ...one, client: `10.0.1.${index}` })),
      ['smaller-pools', 'pooler', 'stricter-policy'],
    ],
  ])('%s', (_, sessions, taken) => {
    const plan = planOf(sessions)
    expect(Object.keys(plan).filter((option) => plan[option])).toEqual(taken)
  })

  test.each<[name: string, sessions: Session[], form: Form, why: string]>([
    ['idle, and not for long', many(60, { ageSeconds: 90 }), 'other', 'a rule of 5m would end 0'],
    ['few idle', many(5, { ageSeconds: 90 }), 'other', 'few are idle for long: 5'],
    ['a pooler', many(90, { application: '' }), 'discard all', "most are a pooler's"],
  ])('why no stricter policy: %s', (_, sessions, form, why) => {
    const { plan } = diagnose(observed([sessions], { form }))
    const policy = plan.find(({ option }) => option === 'stricter-policy')
    expect(policy).toMatchObject({ take: false, why: expect.stringContaining(why) })
  })

  test('a pooler is a large pool too', () => {
    const sessions = many(90, { application: '' })
    const { plan } = diagnose(observed([sessions], { form: 'discard all' }))
    expect(plan[0]).toMatchObject({ take: false, why: expect.stringContaining('is a pooler') })
  })

  test('sessions that wait for a lock need no more slots', () => {
    const sessions = many(90, { state: 'active' })
    const base = observed([sessions])
    for (const look of base.looks) {
      look.traces = new Map(
        [...look.traces].map(([key, trace]) => [key, { ...trace, waitsForLock: true }]),
      )
    }
    const raise = diagnose(base).plan.find(({ option }) => option === 'raise-limit')
    expect(raise).toMatchObject({ take: false, why: expect.stringContaining('wait for a lock') })
  })
})

describe('the mean at work since the statistics were reset', () => {
  const counters = (database: string, resetAt: number | null) => ({
    database,
    sessions: 1,
    abandoned: 0,
    fatal: 0,
    killed: 0,
    activeSeconds: 72_000,
    sessionSeconds: 0,
    resetAt,
  })
  const hour = 1_767_225_600 - 7200

  test.each<[name: string, sessions: Session[], resetAt: number | null, proposed: number]>([
    ['is a lower bound of what an application needs', many(60), hour, 22],
    [
      'tells nothing of one that shares its database',
      [...many(60), ...many(1, { user: 'crm_app' })],
      hour,
      5,
    ],
    ['is not known without a reset', many(60), null, 5],
    ['is not known after a young one', many(60), 1_767_225_000, 5],
  ])('%s', (_, sessions, resetAt, proposed) => {
    const diagnosis = diagnose(observed([sessions], { counters: [counters('shop', resetAt)] }))
    const option = diagnosis.plan.find(({ option }) => option === 'smaller-pools')
    expect(option?.numbers.proposed).toBe(proposed)
  })
})
