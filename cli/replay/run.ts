import { printable, safeJson } from '../../lambda/core/text.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { readDuration } from '../duration.ts'
import { readPolicy } from '../policy-option.ts'
import { writeOut } from '../show.ts'
import { readFrames } from './frames.ts'
import { logGroupSource } from './log-group.ts'
import { type PageFile, pageFile } from './page-file.ts'
import { createProgress } from './progress.ts'
import { createReplayer } from './replay.ts'
import type { Replay } from './result.ts'
import { showReplay } from './show.ts'
import type { NamedPolicy } from './simulation.ts'
import { fileSource, inputSource, type Source } from './sources.ts'
import { suggest } from './suggest.ts'

export type ReplayOptions = {
  logGroup?: string
  since?: string
  target?: string
  policy?: string[]
  maxRegret?: number
  json?: boolean
  html?: string
  suggest?: boolean
}

const DEFAULT_SINCE = '7d'
const STANDARD_OUTPUT = '-'

/** Replays and prints. Returns the exit code, which is 1 if a policy has more regrets than allowed. */
export async function runReplay(files: string[], options: ReplayOptions): Promise<number> {
  const policies = (options.policy ?? []).map((name) => ({ name, policy: readPolicy(name) }))
  if (options.maxRegret !== undefined && policies.length === 0) {
    throw usage('--max-regret needs a policy; expected --policy FILE')
  }
  const sources = sourcesOf(files, options)
  const page = await pageOf(options)
  const replay = await replayOf(sources, policies, options.target)
  if (options.suggest) {
    printSuggestion(replay)
    return 0
  }
  if (options.html !== STANDARD_OUTPUT) {
    writeOut(options.json ? safeJson(replay.report) : showReplay(replay.report))
  }
  if (page) await writePage(replay, page, options.html)
  return countOverruns(replay, options.maxRegret) > 0 ? 1 : 0
}

async function replayOf(
  sources: Source[],
  policies: NamedPolicy[],
  target: string | undefined,
): Promise<Replay> {
  const replayer = createReplayer(policies)
  for await (const frame of readFrames(sources, target)) replayer.add(frame)
  return replayer.end()
}

function sourcesOf(files: string[], { logGroup, since }: ReplayOptions): Source[] {
  const isInput = files.includes('-')
  if (files.length === 0 && logGroup === undefined) {
    throw usage(
      'no recording is given; expected FILE..., - for standard input, or --log-group NAME',
    )
  }
  if ((logGroup !== undefined && files.length > 0) || (isInput && files.length > 1)) {
    throw usage('expected only one of FILE..., - and --log-group NAME')
  }
  if (logGroup !== undefined) {
    const toMs = Date.now()
    const fromMs = Math.floor(toMs - readDuration('--since', since ?? DEFAULT_SINCE))
    return [logGroupSource({ name: logGroup, fromMs, toMs }, createProgress(process.stderr))]
  }
  if (since !== undefined)
    throw usage('--since is for --log-group only; a file is replayed as a whole')
  return isInput ? [inputSource(process.stdin)] : files.map(fileSource)
}

async function pageOf({ html, json }: ReplayOptions): Promise<PageFile | undefined> {
  if (html === undefined) return undefined
  if (html !== STANDARD_OUTPUT) return pageFile(html)
  if (json) throw usage('--html - and --json are both for standard output; expected --html FILE')
  return { write: async (page) => void process.stdout.write(page) }
}

async function writePage(replay: Replay, page: PageFile, out = ''): Promise<void> {
  const [{ replayPage }, { pageAssets }] = await Promise.all([
    import('./html.ts'),
    import('./page-assets.ts'),
  ])
  const text = replayPage(replay, pageAssets)
  await page.write(text)
  if (out === STANDARD_OUTPUT) return
  warn(
    `the page is in ${out} (${Math.ceil(Buffer.byteLength(text) / 1000)} kB): open it in a browser`,
  )
}

/** The policy alone goes to standard output, so that it can be redirected into a file. */
function printSuggestion(replay: Replay): void {
  if (replay.report.snapshots < 2) {
    throw usage(
      'there is no policy to suggest: one snapshot shows of no session whether it came back; expected a longer recording',
    )
  }
  const { policy, leftOut } = suggest(replay)
  for (const pool of leftOut) warn(`no rule for ${pool}`)
  if (policy === undefined) {
    throw usage(
      'there is no policy to suggest: no session that may be ended was idle for longer than sessions that came back',
    )
  }
  for (const caveat of replay.report.caveats) warn(caveat)
  const lines = JSON.stringify(policy, null, 2).split('\n')
  writeOut(lines.map(printable).join('\n'))
}

function countOverruns({ report: { policies } }: Replay, most: number | undefined): number {
  if (most === undefined) return 0
  const overruns = policies.filter(({ regretted }) => regretted > most)
  for (const { name, regretted } of overruns) {
    warn(`${name}: ${regretted} regretted, more than --max-regret ${most}`)
  }
  return overruns.length
}

function warn(message: string): void {
  process.stderr.write(`slotkeeper: ${printable(message)}\n`)
}

function usage(message: string): SlotkeeperError {
  return new SlotkeeperError('settings', message)
}
