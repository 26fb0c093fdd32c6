import { App, Stack } from 'aws-cdk-lib'
import { Annotations, Match } from 'aws-cdk-lib/assertions'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { describe, expect, test } from 'vitest'
import { SessionReaper, type SessionReaperProps } from '../../infra/index.ts'
import {
  ACCOUNT,
  clusterOf,
  construct,
  expectRefusal,
  HOST,
  newStack,
  refusalOf,
  SECRET,
} from '../support/refusals.ts'

test('refuses a target name that another reaper uses in the same namespace', () => {
  const app = new App()
  const env = { account: ACCOUNT, region: 'eu-central-1' }
  construct(() => ({}), new Stack(app, 'One', { env }))
  const again = (id: string, different: Record<string, unknown>) =>
    refusalOf(() => construct(() => different, new Stack(app, id, { env })))
  expectRefusal(again('Two', {}), 'Two/Shop: target', 'which One/Shop has')
  expect(again('Three', { target: 'other' })).toBeUndefined()
  expect(again('Four', { namespace: 'Other' })).toBeUndefined()
})

describe('two reapers', () => {
  const warnings = (stack: Stack) =>
    Annotations.fromStack(stack)
      .findWarning('*', Match.anyValue())
      .map(({ entry }) => String(entry.data))
      .filter((text) => text.includes('slotkeeper:sweptTwice'))
  const reap = (stack: Stack, id: string, props: Partial<SessionReaperProps>) =>
    new SessionReaper(stack, id, {
      database: { host: HOST },
      auth: { secret: Secret.fromSecretCompleteArn(stack, `${id}Secret`, SECRET) },
      mode: 'observe',
      ...props,
    })

  test('on the same server get a warning, whatever the case of its name', () => {
    const stack = newStack()
    reap(stack, 'One', {})
    reap(stack, 'Two', { database: { host: HOST.toUpperCase(), port: 5432 } })
    expect(warnings(stack)).toEqual([expect.stringContaining('Test/One sweeps the same server')])
  })

  test('on another port, host or app get no warning', () => {
    const stack = newStack()
    reap(stack, 'One', {})
    reap(stack, 'Two', { database: { host: HOST, port: 5433 } })
    reap(stack, 'Three', { database: { host: `x${HOST}` } })
    reap(newStack(), 'One', {})
    expect(warnings(stack)).toEqual([])
  })

  test('on different instances of a cluster get no warning', () => {
    const stack = newStack()
    const database = clusterOf(stack)
    for (const [index, endpoint] of database.instanceEndpoints.entries()) {
      reap(stack, `Instance${index}`, { database, vpc: database.vpc, endpoint })
    }
    expect(warnings(stack)).toEqual([])
  })

  test('on the writer and an instance of a cluster get a warning', () => {
    const stack = newStack()
    const database = clusterOf(stack)
    const [endpoint] = database.instanceEndpoints
    reap(stack, 'Writer', { database, vpc: database.vpc })
    reap(stack, 'Instance', { database, vpc: database.vpc, endpoint })
    expect(warnings(stack)).toEqual([
      expect.stringContaining('Test/Writer sweeps the same cluster'),
    ])
  })
})
