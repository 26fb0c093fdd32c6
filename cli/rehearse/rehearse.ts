import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { Report } from '../../lambda/core/report.ts'
import type { Put } from '../../stand-ins/aws.ts'
import { entryWords, paint, slotsBar, writeOut } from '../show.ts'
import { exitOnSignals } from '../signals.ts'
import { type Mark, plotSlots, type Sample } from './plot.ts'
import { type App, type Stage, setStage } from './stage.ts'

const MAX_CONNECTIONS = 100
/** How long a minute between two sweeps takes here. */
const MINUTE_MS = 8_000
const SWEEPS = 6
const TO_THE_FULL_MINUTE_MS = 1_500
/** Idle sessions that the fixed application still leaves: too few for the rule "crowd". */
const LEFTOVERS = 3
const SAMPLE_MS = 150
const PATIENCE_MS = 60_000
const BAR_WIDTH = 50

/** What the rehearsal prints while it runs, and draws at its end. */
type Story = {
  now(): number
  tell(text: string): void
  samples: Sample[]
  marks: Mark[]
  reports: Report[]
}

/**
 * Plays the incident on a disposable PostgreSQL, where the built function ends it.
 * @returns the exit code: 0 only if the slots are free and the application connected again
 */
export async function rehearse(): Promise<number> {
  // When this process exits, each part that was started also stops by itself.
  const restoreSignals = exitOnSignals()
  const story = beginStory()
  const stage = await setStage(MAX_CONNECTIONS)
  const sampling = setInterval(() => {
    void takeSample(stage, story)
  }, SAMPLE_MS)
  try {
    return await play(stage, story)
  } finally {
    clearInterval(sampling)
    await stage.close()
    restoreSignals()
  }
}

function beginStory(): Story {
  const started = performance.now()
  const now = () => performance.now() - started
  const tell = (text: string) =>
    writeOut(`${paint('dim', `${(now() / 1000).toFixed(1).padStart(5)} s`)}  ${text}`)
  writeOut(
    paint(
      'bold',
      'Slotkeeper rehearsal: an application leaks connections until the server is full. Slotkeeper frees the slots.',
    ),
  )
  writeOut(
    `To save time, the sweeps run every ${MINUTE_MS / 1000} s instead of every minute. The ages of the sessions are real.\n`,
  )
  return { now, tell, samples: [], marks: [], reports: [] }
}

async function play(stage: Stage, story: Story): Promise<number> {
  const { tell } = story
  const { host, port } = stage.server
  tell(`PostgreSQL is up on ${host}:${port} with max_connections = ${MAX_CONNECTIONS}.`)
  tell('Three sessions must survive: a report that runs, a session that waits in LISTEN,')
  tell('and a migration that holds an advisory lock.')
  await fillUp(stage, story)
  await pause(TO_THE_FULL_MINUTE_MS)

  let next = pause(MINUTE_MS)
  if (!(await sweepOnce(stage, story, 1))) return 1
  const connectedAgain = await connectsAgain(stage.apps, story)

  await next
  for (const app of stage.apps) app.leak(0)
  tell(`A fixed release is deployed. It opens ${LEFTOVERS} connections, and leaks only those.`)
  for (let minute = 2; minute <= SWEEPS; minute++) {
    next = pause(minute < SWEEPS ? MINUTE_MS : 0)
    if (!(await sweepOnce(stage, story, minute))) return 1
    if (minute === 2) stage.apps[0]?.leak(LEFTOVERS)
    await next
  }
  return end(stage, story, connectedAgain)
}

async function fillUp({ apps, countSlots }: Stage, { tell, now, marks }: Story): Promise<void> {
  tell('Two processes of the application leak connections …')
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const refusal = Promise.race(apps.map(({ events }) => once(events, 'refused', { signal })))
  for (const app of apps) app.leak(Number.MAX_SAFE_INTEGER)
  const [refused] = await refusal
  marks.push({ atMs: now(), sign: 'X' })
  tell(`${'#'.repeat(BAR_WIDTH)}  ${await countSlots()} of ${MAX_CONNECTIONS} slots used`)
  tell(paint('red', `X  A new connection fails: ${refused}`))
}

async function sweepOnce({ lambda }: Stage, story: Story, minute: number): Promise<boolean> {
  story.marks.push({ atMs: story.now(), sign: String(minute) })
  const logged = lambda.lines.length
  const { ok, payload } = await lambda.invoke({
    source: 'aws.events',
    'detail-type': 'Scheduled Event',
  })
  if (!ok) {
    story.tell(paint('red', `The function failed: ${JSON.stringify(payload)}`))
    return false
  }
  story.reports.push(payload as Report)
  tellSweep(story, minute, payload as Report, lambda.lines.slice(logged))
  return true
}

async function connectsAgain(apps: App[], { tell }: Story): Promise<boolean> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const connected = await Promise.any(
    apps.map(({ events }) => once(events, 'connected', { signal })),
  ).then(
    () => true,
    () => false,
  )
  tell(
    connected
      ? paint('green', '   The application connects again, and keeps leaking.')
      : paint('red', '   The application still cannot connect.'),
  )
  return connected
}

async function takeSample({ countSlots }: Stage, { now, samples }: Story): Promise<void> {
  const atMs = now()
  // The last sample may find the server stopped. It is not needed.
  const used = await countSlots().catch(() => undefined)
  if (used !== undefined) samples.push({ atMs, used })
}

function tellSweep({ tell }: Story, minute: number, report: Report, lines: string[]): void {
  const { slots, sessions, entry, durationMs } = report
  tell(
    `${slotsBar(slots, BAR_WIDTH)}  ${slots.used} of ${slots.max} slots used, ${sessions.idle} sessions idle`,
  )
  tell(
    `${paint('bold', `${minute}  Sweep ${minute}`)} ran ${entryWords[entry]} and took ${durationMs} ms`,
  )
  for (const rule of new Set(report.reaped.map(({ rule }) => rule))) {
    const reaped = report.reaped.filter((session) => session.rule === rule)
    tell(
      paint(
        'green',
        `   reaped ${count(reaped.length)} by rule "${rule}": ${byApplication(reaped)}`,
      ),
    )
    tell(`     ${whyOf(rule, lines)}`)
  }
  if (report.reaped.length === 0) tell('   reaped no session')
  const spared = Object.entries(report.spared).filter(([, count]) => count > 0)
  if (spared.length > 0) {
    const reasons = spared.map(([reason, count]) => `${count} ${spareWords[reason] ?? reason}`)
    tell(paint('cyan', `   spared, although they matched a rule: ${reasons.join(', ')}`))
  }
}

/** The reasons that the rehearsal shows whose names in the report are not plain words. */
const spareWords: Partial<Record<string, string>> = {
  listening: 'in LISTEN',
  advisoryLock: 'with an advisory lock',
}

function count(sessions: number): string {
  return sessions === 1 ? '1 session' : `${sessions} sessions`
}

function byApplication(reaped: Report['reaped']): string {
  const names = [...new Set(reaped.map(({ application }) => application))].sort()
  return names
    .map((name) => `${reaped.filter(({ application }) => application === name).length} of ${name}`)
    .join(', ')
}

/** The reason that the function logged for the first session that it reaped by this rule. */
function whyOf(rule: string, lines: string[]): string {
  // Node.js writes its own warnings between the function's JSON lines.
  const entries = lines
    .filter((line) => line.startsWith('{'))
    .map(
      (line) => JSON.parse(line) as { message: string; rule?: string; why?: string; pid?: number },
    )
  const first = entries.find((entry) => entry.message === 'reaped' && entry.rule === rule)
  return `for example pid ${first?.pid}: ${first?.why}`
}

async function end(
  stage: Stage,
  { samples, marks, reports, now }: Story,
  connectedAgain: boolean,
): Promise<number> {
  const used = await stage.countSlots()
  samples.push({ atMs: now(), used })
  const usable = MAX_CONNECTIONS - (reports[0]?.slots.reserved ?? 0)
  writeOut(
    `\n${paint('bold', 'Slots used over time')}   (X: a connection is refused; 1 to ${SWEEPS}: the sweeps)\n`,
  )
  writeOut(plotSlots(samples, marks, MAX_CONNECTIONS, usable))
  tellMetrics(stage.aws.puts)
  writeOut('')
  if (used >= usable || !connectedAgain || !stage.bystandersLive()) {
    writeOut(
      paint(
        'red',
        `The rehearsal failed: ${used} of ${usable} slots are used, the application ${connectedAgain ? 'works' : 'cannot connect'}, and the three other sessions ${stage.bystandersLive() ? 'survived' : 'did not all survive'}.`,
      ),
    )
    return 1
  }
  writeOut(
    paint(
      'green',
      `Done: ${used} of ${usable} slots are used, the application works, and the three other sessions survived.`,
    ),
  )
  writeOut('Next, look at your own server. This command ends no session:')
  writeOut(
    paint('bold', '  npx slotkeeper sweep --url postgres://USER:PASSWORD@HOST:5432/DATABASE'),
  )
  return 0
}

function tellMetrics(puts: Put[]): void {
  const shown = [
    'SlotsUsed',
    'SlotsUsedPercent',
    'SessionsIdle',
    'SessionsReaped',
    'SessionsSpared',
    'Exhausted',
    'SweepSucceeded',
  ]
  const value = ({ MetricData }: Put, name: string) =>
    MetricData.find(({ MetricName }) => MetricName === name)?.Values?.[0] ?? '-'
  writeOut(
    `\n${paint('bold', 'Metrics that the function sent to CloudWatch')}   (namespace ${puts[0]?.Namespace}; one column for each of ${puts.length} requests)\n`,
  )
  for (const name of shown) {
    const cells = puts.map((put) => String(value(put, name)).padStart(8))
    writeOut(`  ${name.padEnd(18)}${cells.join('')}`)
  }
}
