import { describe, expect, test } from 'vitest'
import {
  type Described,
  fleetOf,
  merge,
  type Rds,
  type Tag,
  write,
} from '../../../cli/targets/fleet.ts'
import { readContext } from '../../../infra/context.ts'

const instance = (id: string, different: Partial<Described> = {}): Described => ({
  id,
  engine: 'postgres',
  host: `${id}.c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com`,
  port: 5432,
  resourceId: 'db-ABC',
  arn: `arn:aws:rds:eu-central-1:111122223333:db:${id}`,
  status: 'available',
  iamEnabled: true,
  tags: [],
  ...different,
})
const cluster = (id: string, different: Partial<Described> = {}): Described =>
  instance(id, {
    engine: 'aurora-postgresql',
    host: `${id}.cluster-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com`,
    resourceId: 'cluster-ABC',
    ...different,
  })
const fleet = (
  rds: Partial<Rds>,
  tags: Tag[] = [],
  way: Parameters<typeof fleetOf>[2] = { iamUser: 'slotkeeper' },
) => fleetOf({ instances: [], clusters: [], ...rds }, tags, way)
const namesOf = (...given: Parameters<typeof fleet>) =>
  fleet(...given).targets.map(({ name }) => name)

describe('the targets of a fleet', () => {
  test('are accepted in cdk.json, sorted by name', () => {
    const { targets, notes } = fleet({
      instances: [instance('zoo', { port: 5433 }), instance('Ant')],
      clusters: [cluster('mole', { leastCapacity: 0 }), cluster('bee', { leastCapacity: 0.5 })],
    })
    expect(notes).toEqual([])
    expect(targets).toEqual([
      {
        name: 'Ant',
        host: expect.stringMatching(/^Ant\.c1/),
        resourceId: 'db-ABC',
        iamUser: 'slotkeeper',
        mode: 'observe',
      },
      {
        name: 'bee',
        host: expect.stringMatching(/^bee\.cluster-/),
        cluster: true,
        resourceId: 'cluster-ABC',
        iamUser: 'slotkeeper',
        mode: 'observe',
      },
      {
        name: 'mole',
        host: expect.any(String),
        cluster: true,
        autoPause: true,
        resourceId: 'cluster-ABC',
        iamUser: 'slotkeeper',
        mode: 'observe',
      },
      {
        name: 'zoo',
        host: expect.any(String),
        port: 5433,
        resourceId: 'db-ABC',
        iamUser: 'slotkeeper',
        mode: 'observe',
      },
    ])
    expect(readContext({ targets }).targets).toHaveLength(4)
  })

  test('with secrets in the account and region of each server', () => {
    const { targets } = fleet(
      {
        instances: [
          instance('shop', {
            arn: 'arn:aws-cn:rds:cn-north-1:444455556666:db:shop',
            iamEnabled: false,
          }),
        ],
      },
      [],
      { secret: '{name}/reaper' },
    )
    expect(targets[0]).toMatchObject({
      secretArn: 'arn:aws-cn:secretsmanager:cn-north-1:444455556666:secret:shop/reaper',
    })
    expect(targets[0]).not.toHaveProperty('resourceId')
  })

  test.each(['mysql', 'aurora-mysql', 'mariadb', 'aurora-postgresql', 'docdb'])(
    'leave out instances of %s',
    (engine) => {
      expect(namesOf({ instances: [instance('a', { engine })] })).toEqual([])
    },
  )

  test.each(['aurora-mysql', 'postgres', 'neptune'])('leave out clusters of %s', (engine) => {
    expect(namesOf({ clusters: [cluster('a', { engine })] })).toEqual([])
  })

  test.each<[string, Tag[], string[]]>([
    ['no tag', [], ['one', 'two']],
    ['a tag', [{ key: 'team', value: 'shop' }], ['one', 'two']],
    [
      'two tags',
      [
        { key: 'team', value: 'shop' },
        { key: 'stage', value: 'prod' },
      ],
      ['one'],
    ],
    ['a key', [{ key: 'stage' }], ['one']],
    ['another case', [{ key: 'Team', value: 'shop' }], []],
    ['an empty value', [{ key: 'team', value: '' }], []],
  ])('filtered by %s', (_, tags, expected) => {
    const team = { key: 'team', value: 'shop' }
    const instances = [
      instance('one', { tags: [team, { key: 'stage', value: 'prod' }] }),
      instance('two', { tags: [team] }),
    ]
    expect(namesOf({ instances }, tags)).toEqual(expected)
  })

  test('of an instance and a cluster with one name have two names', () => {
    expect(namesOf({ instances: [instance('a')], clusters: [cluster('a')] })).toEqual([
      'a',
      'a-cluster',
    ])
  })

  test('leave out what has no endpoint or goes, and say so', () => {
    const { targets, notes } = fleet({
      instances: [
        instance('new', { host: undefined, status: 'creating' }),
        instance('old', { status: 'deleting' }),
        instance('without', { iamEnabled: false }),
      ],
    })
    expect(targets.map(({ name }) => name)).toEqual(['without'])
    expect(notes).toEqual([
      'new is left out: its status is creating',
      'old is left out: its status is deleting',
      'without: IAM authentication is off, and its target logs in with IAM tokens',
    ])
  })
})

describe('a file is brought up to date', () => {
  const now = fleet({
    instances: [instance('new'), instance('same'), instance('moved', { host: 'else.where' })],
  }).targets
  const [moved, , same] = now as [object, object, { name: string }]
  const before = [
    { mode: 'reap', ...moved, name: 'moved', host: 'here', policy: 'incident' },
    { ...same },
    { name: 'gone', host: 'x' },
  ]

  test('and keeps what a person has written', () => {
    const merged = merge(before, now)
    expect(merged).toMatchObject({ added: ['new'], changed: ['moved'], removed: ['gone'] })
    expect(merged.targets[0]).toMatchObject({ host: 'else.where', policy: 'incident' })
  })

  test('and a second run changes nothing', () => {
    const { targets } = merge(before, now)
    const again = merge(JSON.parse(write(targets)), now)
    expect(again).toMatchObject({ added: [], changed: [], removed: [] })
    expect(write(again.targets)).toBe(write(targets))
  })

  test('with one line for each target', () => {
    const text = write(now)
    expect(text.split('\n')).toHaveLength(now.length + 3)
    expect(JSON.parse(text)).toEqual(now)
    expect(JSON.parse(write([]))).toEqual([])
  })
})
