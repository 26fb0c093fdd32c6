import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createShare, quotaUs } from '../../../bench/processor-share.ts'

/** A folder in place of the mounted cgroups: plain files, which only keep what is written. */
const emptyRoot = () => mkdtempSync(join(tmpdir(), 'slotkeeper-cgroup-'))
const group = (...path: string[]) => join(...path, `slotkeeper-bench-${process.pid}`)
const read = (...path: string[]) => readFileSync(join(...path), 'utf8')

describe('the quota in a period of 20 ms is memory / 1,769 MB of one processor', () => {
  test.each([
    [128, 1447],
    [256, 2894],
    [512, 5789],
    [1769, 20_000],
    [3538, 40_000],
  ])('%s MB: %s us', (memoryMb, expected) => {
    expect(quotaUs(memoryMb)).toBe(expected)
  })
})

test('cgroups of version 1', () => {
  const root = emptyRoot()
  mkdirSync(join(root, 'cpu'))
  writeFileSync(join(root, 'cpu', 'cpu.cfs_quota_us'), '-1')
  const share = createShare(root)
  const folder = group(root, 'cpu')
  expect(read(folder, 'cpu.cfs_quota_us')).toBe('-1')
  share.limit(4711, 128)
  expect(read(folder, 'cpu.cfs_period_us')).toBe('20000')
  expect(read(folder, 'cpu.cfs_quota_us')).toBe('1447')
  expect(read(folder, 'cgroup.procs')).toBe('4711')
  writeFileSync(join(folder, 'cpu.stat'), 'nr_periods 9\nnr_throttled 7\nthrottled_time 1\n')
  expect(share.throttled()).toBe(7)
})

test('cgroups of version 2', () => {
  const root = emptyRoot()
  writeFileSync(join(root, 'cgroup.controllers'), 'cpuset cpu io memory pids')
  const share = createShare(root)
  expect(read(root, 'cgroup.subtree_control')).toBe('+cpu')
  expect(read(group(root), 'cpu.max')).toBe('max 20000')
  share.limit(4711, 512)
  expect(read(group(root), 'cpu.max')).toBe('5789 20000')
  expect(read(group(root), 'cgroup.procs')).toBe('4711')
})

describe('a machine without cgroups for the processor has no share to give', () => {
  test.each([
    ['a folder that is not there', () => join(emptyRoot(), 'missing')],
    ['a folder without controllers', emptyRoot],
  ])('%s', (_, make) => {
    const root = make()
    expect(() => createShare(root)).toThrow(
      `no cgroup with a processor quota could be made in ${root}`,
    )
    expect(existsSync(group(root))).toBe(false)
  })
})
