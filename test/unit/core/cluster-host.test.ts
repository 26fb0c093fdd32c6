import { describe, expect, test } from 'vitest'
import {
  clusterHostProblem,
  instanceHost,
  isInstanceId,
  readClusterHost,
  readerHost,
} from '../../../lambda/core/cluster-host.ts'

const ID = 'abc123xyz456'
const EU = 'eu-central-1.rds.amazonaws.com'

describe('finds the names of the instances from an endpoint of the cluster', () => {
  test.each([
    [`shop.cluster-${ID}.${EU}`, 'writer', `a.${ID}.${EU}`],
    [`shop.cluster-ro-${ID}.${EU}`, 'reader', `a.${ID}.${EU}`],
    [`reports.cluster-custom-${ID}.${EU}`, 'custom', `a.${ID}.${EU}`],
    [`SHOP.Cluster-${ID.toUpperCase()}.${EU}`, 'writer', `a.${ID}.${EU}`],
    [`shop.cluster-${ID}.${EU}.`, 'writer', `a.${ID}.${EU}`],
    [`shop-green-a1b2c3.cluster-${ID}.${EU}`, 'writer', `a.${ID}.${EU}`],
    [`shop-old1.cluster-${ID}.${EU}`, 'writer', `a.${ID}.${EU}`],
    [
      `shop.cluster-${ID}.us-gov-west-1.rds.amazonaws.com`,
      'writer',
      `a.${ID}.us-gov-west-1.rds.amazonaws.com`,
    ],
    [
      `shop.cluster-${ID}.cn-north-1.rds.amazonaws.com.cn`,
      'writer',
      `a.${ID}.cn-north-1.rds.amazonaws.com.cn`,
    ],
    [
      `shop.cluster-ro-${ID}.rds.cn-northwest-1.amazonaws.com.cn`,
      'reader',
      `a.${ID}.rds.cn-northwest-1.amazonaws.com.cn`,
    ],
  ])('%s', (host, leadsTo, instance) => {
    const read = readClusterHost(host)
    expect(read).toMatchObject({ ok: true, value: { leadsTo } })
    if (!read.ok) return
    expect(read.value.host).toBe(host.toLowerCase().replace(/\.$/, ''))
    expect(instanceHost(read.value, 'a')).toBe(instance)
  })

  test.each([
    [`shop.cluster-${ID}.${EU}`, `shop.cluster-ro-${ID}.${EU}`],
    [`shop.cluster-ro-${ID}.${EU}`, undefined],
    [`reports.cluster-custom-${ID}.${EU}`, undefined],
  ])('the reader endpoint beside %s is %s', (host, expected) => {
    const read = readClusterHost(host)
    expect(read.ok && readerHost(read.value)).toBe(expected)
  })

  test('the identifier of the cluster is the name of its own endpoint', () => {
    expect(readClusterHost(`shop-green-a1b2c3.cluster-${ID}.${EU}`)).toMatchObject({
      value: { name: 'shop-green-a1b2c3' },
    })
  })
})

describe('refuses a host that does not tell the names of the instances', () => {
  test.each([
    ['127.0.0.1', 'an address does not tell'],
    ['::1', 'an address does not tell'],
    ['10.0.0.7', 'an address does not tell'],
    ['db.example.com', 'an alias (CNAME) does not tell'],
    ['localhost', 'an alias (CNAME) does not tell'],
    ['', 'an alias (CNAME) does not tell'],
    [`shop.proxy-${ID}.${EU}`, 'this is RDS Proxy'],
    [`reads.endpoint.proxy-${ID}.${EU}`, 'this is RDS Proxy'],
    [`Shop.PROXY-${ID}.${EU}`, 'this is RDS Proxy'],
    [`shop.shardgrp-${ID}.${EU}`, 'this is a shard group'],
    [`shop.global-${ID}.global.rds.amazonaws.com`, 'a global database'],
    [`shop-1.${ID}.${EU}`, 'the endpoint of one instance'],
    [`a.shop.cluster-${ID}.${EU}`, 'an alias (CNAME)'],
    [`shop.cluster-${ID}.${EU}.example.com`, 'an alias (CNAME)'],
    [`shop.cluster-${ID}.rds.amazonaws.com`, 'an alias (CNAME)'],
    [`shop.cluster-.${EU}`, 'an alias (CNAME)'],
    [`.cluster-${ID}.${EU}`, 'an alias (CNAME)'],
  ])('%s', (host, what) => {
    const problem = clusterHostProblem(host)
    expect(problem).toContain(what)
    expect(problem).toContain("; expected the cluster's own endpoint")
  })
})

test.each([
  ['shop-1', true],
  ['shop-1-green-a1b2c3', true],
  ['application-autoscaling-0b5f12cd-7a4e-4f9e-9d2c-0a1b2c3d4e5f', true],
  ['a', true],
  ['', false],
  ['-a', false],
  ['a-', false],
  ['evil.example.com', false],
  ['a/b', false],
  ['a@b', false],
  ['a b', false],
  ['A', false],
  ['é', false],
  ['a'.repeat(64), false],
])('the identifier %j may become a part of a host name: %s', (id, expected) => {
  expect(isInstanceId(id)).toBe(expected)
})
