import { INCIDENT, type Policy, parsePolicy } from '../../lambda/core/policy.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import type { ClientLibrary } from '../clients.ts'
import type { Cut } from './comeback.ts'
import { type Conclusion, conclude } from './conclude.ts'
import { type Course, type Plan, remembering, untilConnected } from './course.ts'
import { cutOnce, restartOnce } from './cuts.ts'
import { readDependencies } from './dependencies.ts'
import { type DrillPolicy, drillPolicy, namesApplications } from './policy.ts'
import { type End, startProgram } from './process.ts'
import { recognise } from './recognise.ts'
import { type Setup, startDisposable, useOwn } from './stage.ts'
import { endWords } from './words.ts'

/** What to drill, and how. */
export type DrillOptions = Partial<Plan> & {
  /** The program and its arguments. */
  command: [string, ...string[]]
  /** A server of one's own; without it, a disposable one. */
  url?: string | undefined
  /** The names of its role and its database on a disposable server, so that a policy's scope can meet them. */
  user?: string | undefined
  database?: string | undefined
  setup?: Setup | undefined
  /** Default: `incident`. */
  policy?: Policy
  /** Where COMMAND runs, and what it gets besides this process's environment. */
  cwd?: string
  environment?: Record<string, string>
  /** Called with each line that COMMAND writes. */
  show?: (line: string) => void
  /** Called with each step of the drill, as a text for people. */
  tell?: (text: string) => void
  /** Asked at each look; the drill ends its waiting for COMMAND when the caller has seen enough of its output. */
  isEnough?: () => boolean
}

export type DrillResult = Conclusion & {
  command: string[]
  /** As a person knows it, and its `server_version_num`; NULL if COMMAND never used it. */
  target: string
  version: number | null
  /** How the policy was applied otherwise than it is written. */
  differences: string[]
  cuts: Cut[]
  /** Why the drill ended before all its cuts were made. NULL: all were made. */
  stoppedBecause: string | null
  /** How its process ended by itself; NULL if the drill ended it. */
  process: End | null
  /** The last lines that it wrote. */
  lastLines: string[]
  /** The library that it uses, as far as its sessions or its command show. */
  library: Omit<ClientLibrary, 'signs'> | null
}

/** How a drill goes unless it is told otherwise. */
export const DEFAULT_PLAN: Plan = {
  times: 3,
  patienceMs: 10_000,
  idleMs: 1_000,
  inTransaction: false,
  restart: false,
  startMs: 60_000,
  atOnceMs: 250,
}

/**
 * Runs COMMAND against a server, leaves it to idle, ends its idle sessions as the policy would, several times, and
 * says whether it came back. A session that lives for less than the 50 ms between two looks may be missed.
 * @throws SlotkeeperError, for example of kind `settings` if COMMAND can't be drilled. Nothing is left behind then
 *   either.
 */
export async function drill(options: DrillOptions): Promise<DrillResult> {
  const { command, url, setup, show = ignore, tell = ignore, isEnough = () => false } = options
  const plan: Plan = { ...DEFAULT_PLAN, ...given(options) }
  const { user, database } = options
  const drilled = readPolicy(options.policy ?? incident(), plan, url !== undefined)
  if (url !== undefined) refuseWithUrl({ restart: plan.restart || undefined, user, database })
  const stage = await (url === undefined
    ? startDisposable({ user, database }, setup)
    : useOwn(url, setup))
  try {
    const environment = { ...process.env, ...options.environment, ...stage.environment }
    const program = await startProgram(command, environment, {
      show,
      secrets: stage.secrets,
      cwd: options.cwd,
    })
    const libraries = new Set<string>()
    const recall = remembering(stage)
    const course = { plan, stage, program, drilled, libraries, recall, tell, isEnough }
    try {
      const played = await play(course)
      const dependencies = readDependencies(command, options.cwd ?? process.cwd())
      const library = recognise(libraries, command, dependencies)
      return { command: command.map(program.output.redact), ...played, library }
    } finally {
      await program.stop()
    }
  } finally {
    await stage.close()
  }
}

function ignore(): void {
  // The caller does not want to know.
}

/** The parts of the plan that the caller gave. */
function given(options: DrillOptions): Partial<Plan> {
  const entries = Object.keys(DEFAULT_PLAN).map((key) => [key, options[key as keyof Plan]])
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}

/** Refuses the options that are for a disposable server only. */
function refuseWithUrl(options: Record<string, unknown>): void {
  const [given] = Object.keys(options).filter((name) => options[name] !== undefined)
  if (given === undefined) return
  throw usage(`--${given} and --url exclude each other: --${given} is for a disposable server`)
}

function readPolicy(
  policy: Policy,
  { idleMs, inTransaction }: Plan,
  isRenamed: boolean,
): DrillPolicy {
  const drilled = drillPolicy(policy, { idleSeconds: idleMs / 1000, inTransaction })
  if (drilled.policy.rules.length === 0) {
    throw usage(
      '--policy: none of its rules is for idle sessions, so a drill has nothing to end; for rules about transactions add --in-transaction',
    )
  }
  if (!isRenamed || !namesApplications(policy)) return drilled
  const note = 'the sessions of COMMAND have a name of the drill, which "applications" must match'
  return { ...drilled, differences: [...drilled.differences, note] }
}

async function play(course: Course): Promise<Omit<DrillResult, 'command' | 'library'>> {
  const { program, stage, drilled, tell } = course
  tell(`COMMAND runs on ${stage.target}`)
  const first = await untilConnected(course)
  const { cuts, stoppedBecause } = first
    ? await makeCuts(course)
    : { cuts: [], stoppedBecause: stopped(course, endedUnseen(course)) }
  const process = program.ended() ?? null
  if (process) await program.lastWords()
  const { patienceMs } = course.plan
  return {
    ...conclude({ cuts, process, stoppedBecause, patienceMs }),
    target: stage.target,
    version: first?.snapshot.serverVersion ?? null,
    differences: drilled.differences,
    cuts,
    stoppedBecause,
    process,
    lastLines: program.output.last(),
  }
}

async function makeCuts(course: Course): Promise<Pick<DrillResult, 'cuts' | 'stoppedBecause'>> {
  const { times, restart } = course.plan
  const cuts: Cut[] = []
  for (let number = 1; number <= times; number++) {
    const cut = await cutOnce(course, `cut ${number} of ${times}`)
    if (typeof cut === 'string') return { cuts, stoppedBecause: stopped(course, cut) }
    cuts.push(cut)
  }
  if (restart) {
    const cut = await restartOnce(course, 'restart of the server')
    if (typeof cut === 'string') return { cuts, stoppedBecause: stopped(course, cut) }
    cuts.push(cut)
  }
  return { cuts, stoppedBecause: null }
}

function endedUnseen({ program, stage: { application } }: Course): string {
  const end = program.ended()
  const named = application === undefined ? '' : ` that is named ${application}`
  return `COMMAND ended by itself (${end ? endWords(end) : ''}), and no session of it${named} was seen`
}

function stopped({ tell }: Course, why: string): string {
  tell(why)
  return why
}

function incident(): Policy {
  const policy = parsePolicy(INCIDENT)
  if (!policy.ok) throw new Error(policy.problems.join('; '))
  return policy.value
}

function usage(message: string): SlotkeeperError {
  return new SlotkeeperError('settings', message)
}
