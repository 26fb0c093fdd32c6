import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startLambda } from '../stand-ins/lambda.ts'
import type { Share } from './processor-share.ts'
import { readWaits, type Wait, writeHook } from './waits.ts'

/** What one execution environment did: the time of its first sweep and of those after it, ms. */
export type Run = { firstMs: number; warmMs: number[]; waits: Wait[]; lines: string[] }

const TIMEOUT_MS = 45_000
const PAUSE_MS = 5

/**
 * Starts the built function, and lets it sweep. It starts at full speed, as in Lambda, and gets its share of
 * a processor before the first invocation. The sweeps follow each other at once: in Lambda, the function is
 * frozen between them.
 * @param share undefined for the whole processor
 */
export async function runFunction(
  {
    bundle,
    environment,
    node,
  }: { bundle: string; environment: Record<string, string>; node?: string },
  warmSweeps: number,
  share?: { group: Share; memoryMb: number },
): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-function-'))
  const hook = join(folder, 'waits.cjs')
  writeHook(hook)
  const lambda = await startLambda({
    bundle,
    bootstrap: 'dist/bootstrap.mjs',
    environment: { ...environment, NODE_OPTIONS: `--require=${hook}` },
    timeoutMs: TIMEOUT_MS,
    ...(node !== undefined && { node }),
  })
  const sweep = async () => {
    const started = performance.now()
    const { ok, payload } = await lambda.invoke({})
    const ms = performance.now() - started
    if (!ok) throw new Error(JSON.stringify(payload))
    return ms
  }
  try {
    await lambda.ready
    const pid = lambda.pid as number
    share?.group.limit(pid, share.memoryMb)
    const firstMs = await sweep()
    const warmMs: number[] = []
    while (warmMs.length < warmSweeps) warmMs.push(await sweep())
    const lines = [...lambda.lines]
    process.kill(pid, 'SIGTERM')
    // Resolves when the process has ended.
    await lambda.invoke({})
    for (;;) {
      const waits = readWaits(lambda.lines)
      if (waits) return { firstMs, warmMs, waits, lines }
      await pause(PAUSE_MS)
    }
  } finally {
    await lambda.stop()
    rmSync(folder, { recursive: true })
  }
}
