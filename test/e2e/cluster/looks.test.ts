import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { ClusterDiagnosis } from '../../../cli/doctor/cluster.ts'
import type { Diagnosis } from '../../../cli/doctor/diagnosis.ts'
import { CLUSTER, hostOf, testAurora } from '../../support/aurora.ts'
import { slotkeeper } from '../../support/command.ts'
import { REAPER_ROLES } from '../../support/server.ts'
import { openTerminal, tmux } from '../../support/terminal.ts'
import { until } from '../../support/until.ts'

const aurora = await testAurora(['shop-1', 'shop-2', 'shop-3'], { max_connections: '40' })
const reaper = await aurora.role('reaper', REAPER_ROLES)
const app = await aurora.role('shop_app')
const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-cluster-looks-'))
afterAll(() => rmSync(folder, { recursive: true }))

const server = `postgres://reaper:${encodeURIComponent(reaper.password)}@${CLUSTER}:${aurora.port}/postgres?sslrootcert=${aurora.authority.file}`
const NAME = `${CLUSTER}:${aurora.port}`
const run = (verb: string, ...args: string[]) =>
  slotkeeper([verb, '--cluster', '--url', server, ...args], aurora.network())

beforeEach(() => {
  aurora.say('shop-1', 'shop-2', 'shop-3')
  for (const { id } of aurora.instances) aurora.lead(hostOf(id), id)
})
afterEach(async () => {
  for (const instance of aurora.instances) instance.recover()
  await Promise.all(aurora.instances.map(({ db }) => db.endAll()))
})

describe('doctor', () => {
  const doctor = (...args: string[]) => run('doctor', '--for', '10ms', ...args)

  test('says what is wrong with each instance, and shows them side by side', async () => {
    const { db } = aurora.of('shop-2')
    const sessions = await Promise.all(Array.from({ length: 32 }, () => db.open(app, 'php')))
    const { code, out, err } = await doctor()
    expect({ code, err }).toEqual({ code: 1, err: '' })
    expect(out).toContain(`${NAME}, 3 instances`)
    expect(out).toMatch(/^instance +role +used % +slots used +critical +warning +worst finding$/m)
    expect(out).toMatch(/^shop-1 +writer +[\d.]+ +\d+ of 37 +0 +0 +/m)
    expect(out).toMatch(/^shop-2 +reader +[\d.]+ +\d+ of 37 +\d+ +[1-9]\d* +nearly-full$/m)
    for (const { id } of aurora.instances) expect(out).toContain(`${NAME}/${id},`)
    expect(sessions.every((session) => session.isAlive())).toBe(true)

    const { instances, ...cluster } = JSON.parse((await doctor('--json')).out) as ClusterDiagnosis
    expect(cluster).toEqual({ target: NAME })
    const diagnoses = instances as Diagnosis[]
    expect(diagnoses.map(({ target }) => target)).toEqual([
      `${NAME}/shop-1`,
      `${NAME}/shop-2`,
      `${NAME}/shop-3`,
    ])
    const nearlyFull = diagnoses.map(({ findings }) =>
      findings.some(({ id }) => id === 'nearly-full'),
    )
    expect(nearlyFull).toEqual([false, true, false])
  })

  test('exits with 0 if nothing is worse than a hint on any instance', async () => {
    expect(await doctor()).toMatchObject({ code: 0, err: '' })
  })

  test('an instance that can not be reached has its error, and the worst exit code counts', async () => {
    aurora.lead(hostOf('shop-2'), undefined)
    const { code, out } = await doctor()
    expect(code).toBe(3)
    expect(out).toMatch(/^shop-2 +reader +- +- +- +- +unreachable$/m)
    expect(out).toContain(`shop-2: unreachable: no connection with ${hostOf('shop-2')}`)
    expect(out).toContain(`${NAME}/shop-3,`)
    const json = JSON.parse((await doctor('--json')).out) as ClusterDiagnosis
    expect(json.instances[1]).toMatchObject({
      target: `${NAME}/shop-2`,
      error: { kind: 'unreachable' },
    })
  })

  test('one that the cluster no longer hears from does not count', async () => {
    aurora.say('shop-1', { id: 'shop-2', silentSeconds: 90 }, 'shop-3')
    aurora.lead(hostOf('shop-2'), undefined)
    const { code, out } = await doctor()
    expect(code).toBe(0)
    expect(out).toContain('so it is probably leaving')
  })

  test('fails if nothing can be said of any instance', async () => {
    for (const { id } of aurora.instances) aurora.lead(hostOf(id), undefined)
    const { code, out } = await doctor('--json')
    expect(code).toBe(3)
    expect(JSON.parse(out)).toMatchObject({ error: { kind: 'unreachable' } })
  })
})

describe('watch', () => {
  const ARGS = ['watch', '--cluster', '--url', server, '--every', '500ms']

  function start(...args: string[]) {
    const child = spawn(process.execPath, ['dist/cli.mjs', ...ARGS, ...args], {
      env: { PATH: process.env.PATH, ...aurora.network() },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const said = { lines: [] as string[] }
    createInterface({ input: child.stdout }).on('line', (line) => said.lines.push(line))
    return { child, said, exited: once(child, 'close') }
  }

  test('--json prints a line for each instance and look, and follows the cluster', async () => {
    aurora.say('shop-1', 'shop-2')
    const victim = await aurora.of('shop-2').db.open(app, 'php')
    const { child, said, exited } = start('--json')
    const of = (id: string) =>
      said.lines.map((line) => JSON.parse(line)).filter(({ target }) => target === `${NAME}/${id}`)
    await until(() => of('shop-2').length > 1)
    expect(of('shop-2')[0]).toMatchObject({ mode: 'observe', entry: 'client' })
    expect(of('shop-2')[1]).toMatchObject({ entry: 'warm' })
    expect(of('shop-3')).toEqual([])
    aurora.say('shop-1', 'shop-2', 'shop-3')
    await until(() => of('shop-3').length > 0)
    aurora.lead(hostOf('shop-2'), undefined)
    aurora.of('shop-2').proxy.cut()
    await until(() => of('shop-2').at(-1)?.error?.kind === 'unreachable')
    const others = of('shop-1').length
    await until(() => of('shop-1').length > others)
    expect(of('shop-1').at(-1)).toHaveProperty('slots')
    expect(victim.isAlive()).toBe(true)
    child.kill('SIGTERM')
    expect(await exited).toEqual([143, null])
  })

  test('without a terminal each line names its instance', async () => {
    await aurora.of('shop-2').db.open(app, 'php')
    const { child, said, exited } = start()
    await until(() =>
      said.lines.includes('shop-2   shop_app@postgres php 127.0.0.1: 0 -> 1 sessions'),
    )
    for (const { id } of aurora.instances) {
      expect(said.lines).toContainEqual(
        expect.stringMatching(new RegExp(`^${id} \\d\\d:\\d\\d:\\d\\d UTC \\d+ of 37 slots `)),
      )
    }
    aurora.say('shop-1', 'shop-2')
    await until(() => said.lines.includes('shop-3 has left the cluster'))
    child.kill('SIGINT')
    expect(await exited).toEqual([130, null])
  })

  test('--reap ends sessions on every instance', async () => {
    const atOnce = join(folder, 'policy.json')
    const rules = [{ name: 'now', state: 'idle', olderThan: '0s' }]
    writeFileSync(atOnce, JSON.stringify({ scope: { users: ['shop_*'] }, rules }))
    const victims = await Promise.all(aurora.instances.map(({ db }) => db.open(app, 'php')))
    const { child, exited } = start('--reap', '--policy', atOnce, '--json')
    await Promise.all(victims.map(({ ended }) => ended))
    child.kill('SIGTERM')
    expect(await exited).toEqual([143, null])
  })

  test('fails at once if no instance can be looked at', async () => {
    for (const { id } of aurora.instances) aurora.lead(hostOf(id), undefined)
    expect(await run('watch')).toMatchObject({ code: 3, out: '' })
  })

  test.skipIf(tmux === undefined)('on a terminal it shows all instances', async () => {
    await aurora.of('shop-2').db.open(app, 'php')
    const terminal = await openTerminal(100, 30, aurora.network())
    const words = [process.execPath, 'dist/cli.mjs', ...ARGS.map((word) => `'${word}'`)]
    await terminal.type(`${words.join(' ')}; echo "exit=$?"`)
    const screen = await terminal.shows(/^observes .* UTC/m)
    expect(screen).toMatch(/^> shop-1 writer +#.*: \d+ of 37, \d+ idle, 1 active$/m)
    expect(screen).toMatch(/^ {2}shop-2 reader +#.*: \d+ of 37, \d+ idle, 1 active$/m)
    await terminal.press('Tab')
    await terminal.shows(/^> shop-2 reader/m)
    await terminal.shows(/^ ?>? +1 .* php /m)
    aurora.lead(hostOf('shop-3'), undefined)
    aurora.of('shop-3').proxy.cut()
    await terminal.shows(/^ {2}shop-3 reader {2}LOOKS FAIL: unreachable$/m)
    await terminal.press('q')
    await terminal.shows(/^exit=1$/m)
  })
})

describe('record', () => {
  let out: string
  let files = 0
  beforeEach(() => {
    files += 1
    out = join(folder, `recording-${files}.jsonl`)
  })

  /** The targets of its lines, in their order. */
  const targetsIn = (file: string): string[] =>
    !existsSync(file)
      ? []
      : readFileSync(file, 'utf8')
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line).target)

  function start(...args: string[]) {
    const child = spawn(
      process.execPath,
      ['dist/cli.mjs', 'record', '--cluster', '--url', server, '--every', '1s', ...args],
      { env: { PATH: process.env.PATH, ...aurora.network() }, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    const said = { err: '' }
    child.stderr.on('data', (chunk) => {
      said.err += chunk
    })
    return { child, said, exited: once(child, 'close') }
  }

  test('writes a line for each snapshot and instance, and a replay picks one', async () => {
    const victim = await aurora.of('shop-2').db.open(app, 'php')
    const { code, err } = await run('record', '--for', '1s', '--every', '1s', '--out', out)
    expect(code).toBe(0)
    expect(err).toContain(`slotkeeper: recording each instance of ${NAME} every 1s for 1s, to `)
    const each = ['shop-1', 'shop-2', 'shop-3'].map((id) => `${NAME}/${id}`)
    const targets = targetsIn(out)
    expect(targets.slice(0, 6)).toEqual([...each, ...each])
    for (const target of each) {
      expect(err).toMatch(
        new RegExp(`^slotkeeper: recorded \\d+ snapshots of ${target} in 1s`, 'm'),
      )
      expect(err).toContain(
        `Next: slotkeeper replay ${out} --target ${target} --policy POLICY.json`,
      )
    }
    expect(victim.isAlive()).toBe(true)

    const mixed = await slotkeeper(['replay', out, '--policy', 'incident'])
    expect(mixed.code).toBe(2)
    expect(mixed.err).toContain('expected the recording of one, or --target NAME')
    const replay = ['replay', out, '--policy', 'incident', '--json', '--target', `${NAME}/shop-2`]
    const replayed = JSON.parse((await slotkeeper(replay)).out)
    expect(replayed).toMatchObject({ target: `${NAME}/shop-2` })
    const users = replayed.pools.map(({ user }: { user: string }) => user)
    expect(users.sort()).toEqual(['postgres', 'shop_app'])
  })

  test('follows instances that join, that are lost and that leave', async () => {
    aurora.say('shop-1', 'shop-2')
    const { child, said, exited } = start('--out', out)
    const [first, second, third] = ['shop-1', 'shop-2', 'shop-3'].map((id) => `${NAME}/${id}`)
    const count = (target?: string) => targetsIn(out).filter((one) => one === target).length
    await until(() => count(second) > 0)
    expect(count(third)).toBe(0)
    aurora.say('shop-1', 'shop-2', 'shop-3')
    await until(() => count(third) > 0)

    aurora.lead(hostOf('shop-2'), undefined)
    aurora.of('shop-2').proxy.cut()
    await until(() => said.err.includes(`slotkeeper: ${second}: no snapshot: `))
    const [lost, others] = [count(second), count(first)]
    await until(() => count(first) > others)
    expect(count(second)).toBe(lost)
    aurora.lead(hostOf('shop-2'), 'shop-2')
    await until(() => said.err.includes(`slotkeeper: ${second}: snapshots again, after a gap of`))

    aurora.say('shop-1', 'shop-2')
    // The round under way may still have it.
    const went = count(first)
    await until(() => count(first) > went + 1)
    const [left, later] = [count(third), count(first)]
    await until(() => count(first) > later + 1)
    expect(count(third)).toBe(left)
    child.kill('SIGINT')
    expect(await exited).toEqual([0, null])
    for (const target of [first, second, third]) {
      expect(said.err).toMatch(
        new RegExp(`^slotkeeper: recorded \\d+ snapshots? of ${target} `, 'm'),
      )
    }
  })

  test('goes on without an instance that can not be reached at the start', async () => {
    aurora.lead(hostOf('shop-3'), undefined)
    const { code, err } = await run('record', '--for', '1ms', '--out', out)
    expect(code).toBe(0)
    expect(err).toContain(`slotkeeper: ${NAME}/shop-3: no snapshot: no connection with `)
    expect(err).toContain(`slotkeeper: recorded no snapshot of ${NAME}/shop-3. `)
    expect(targetsIn(out)).not.toContain(`${NAME}/shop-3`)
  })

  test('fails at once if no instance can be recorded, and leaves no file behind', async () => {
    for (const { id } of aurora.instances) aurora.lead(hostOf(id), undefined)
    expect(await run('record', '--out', out)).toMatchObject({ code: 3, out: '' })
    expect(existsSync(out)).toBe(false)
  })
})
