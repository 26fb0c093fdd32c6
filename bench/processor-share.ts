import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A function with this much memory gets one vCPU. With less memory it gets a proportional share. */
const VCPU_MB = 1_769
/** Within each period, a process runs until it has used its share, and then waits for the next one. */
const PERIOD_US = 20_000

/** A cgroup whose processes get a share of one processor. */
export type Share = {
  /** Puts a running process, with all its threads, under the share of a function of this size. */
  limit(pid: number, memoryMb: number): void
  /** In how many periods a process had to wait. */
  throttled(): number
  /** Call it when the processes have ended. */
  remove(): void
}

/** The processor time of a function of this size in each period, us. */
export function quotaUs(memoryMb: number): number {
  return Math.round((PERIOD_US * memoryMb) / VCPU_MB)
}

/**
 * Makes a cgroup, of version 1 or 2.
 * @param root where the cgroups are mounted
 * @throws Error if this machine, or this user, may have none
 */
export function createShare(root = '/sys/fs/cgroup'): Share {
  const first = existsSync(join(root, 'cpu', 'cpu.cfs_quota_us'))
  const parent = first ? join(root, 'cpu') : root
  const folder = join(parent, `slotkeeper-bench-${process.pid}`)
  const write = (name: string, value: string | number) =>
    writeFileSync(join(folder, name), String(value))
  const setQuota = (us: number | undefined) => {
    if (!first) return write('cpu.max', `${us ?? 'max'} ${PERIOD_US}`)
    write('cpu.cfs_period_us', PERIOD_US)
    return write('cpu.cfs_quota_us', us ?? -1)
  }
  try {
    if (!first) {
      readFileSync(join(root, 'cgroup.controllers'))
      writeFileSync(join(root, 'cgroup.subtree_control'), '+cpu')
    }
    mkdirSync(folder)
    setQuota(undefined)
  } catch (error) {
    throw new Error(`no cgroup with a processor quota could be made in ${parent}`, { cause: error })
  }
  return {
    limit(pid, memoryMb) {
      setQuota(quotaUs(memoryMb))
      write('cgroup.procs', pid)
    },
    throttled() {
      const stat = readFileSync(join(folder, 'cpu.stat'), 'utf8')
      return Number(/^nr_throttled (\d+)/m.exec(stat)?.[1])
    },
    remove: () => rmdirSync(folder),
  }
}
