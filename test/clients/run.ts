import { drill } from '../../cli/drill/drill.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { policy } from '../support/session.ts'
import type { Client, Setting } from './clients.ts'
import { type Course, LOST, type Request } from './outcome.ts'

/** The incident's ages, cut to this, so that a case takes seconds. */
const IDLE_MS = 300
/** How much longer a program pauses between two rounds than its sessions must be idle. */
const MARGIN_MS = 700
/** So many rounds without anything to end show that there is nothing. */
const NOTHING_AFTER = 12
/** Nothing waits as long: what is seen decides. */
const PATIENCE_MS = 120_000
const CUTS = 3

const FOLDER = new URL('.', import.meta.url).pathname

/** Runs a client while its idle sessions are ended, and returns what its requests met. */
export async function run(client: Client, setting: Setting): Promise<Course> {
  const { idleMs = IDLE_MS, inTransaction = false } = client
  const requests: Request[] = []
  /** The last round before each cut. */
  const cutAfter: number[] = []
  const words: string[] = []
  const failing = () => requests.length - 1 - requests.findLastIndex(({ ok }) => ok)
  const show = (line: string) => {
    if (line.startsWith('{"round"')) requests.push(JSON.parse(line))
    else words.push(line)
  }
  const ended = await drill({
    command: client.program,
    cwd: FOLDER,
    environment: {
      SETTING: setting,
      PAUSE_MS: String(idleMs + MARGIN_MS),
      GO111MODULE: 'off',
      GOPATH: '/usr/share/gocode',
    },
    policy: policyOf(client),
    idleMs,
    inTransaction,
    patienceMs: PATIENCE_MS,
    times: CUTS,
    show,
    tell(step) {
      if (/^cut \d+ of \d+: ended/.test(step)) cutAfter.push(requests.at(-1)?.round ?? 0)
    },
    isEnough: () =>
      failing() >= LOST || (cutAfter.length === 0 && (requests.at(-1)?.round ?? 0) > NOTHING_AFTER),
  })
  if (requests.length === 0 && cutAfter.length === 0) {
    throw new SlotkeeperError('settings', `${client.name} asked nothing:\n${words.join('\n')}`)
  }
  const rounds = cutAfter.map((last) => {
    const first = requests.find(({ round }) => round > last)
    return requests.filter(({ round }) => round === first?.round)
  })
  const failed = requests.find(({ ok }) => !ok)
  return {
    rounds,
    failing: failing(),
    died: ended.process !== null,
    error: failed ? withCode(failed) : ended.process && dyingWords(words),
  }
}

/** By age alone, as a policy for a production server would be; the crowd rule of the incident asks for no age. */
function policyOf({ inTransaction }: Client) {
  const state = inTransaction ? 'idle in transaction' : 'idle'
  return policy({ rules: [{ name: 'stale', state, olderThan: '30s' }] })
}

function withCode({ error = '', sqlstate }: Request): string {
  return !sqlstate || error.includes(sqlstate) ? error : `${error} (${sqlstate})`
}

/** The line by which the runtime says why it ends. */
function dyingWords(words: string[]): string | null {
  return words.find((line) => /^\s*(\w+ \[?\w*\]?)?e?rror: /i.test(line)) ?? words.at(-1) ?? null
}
