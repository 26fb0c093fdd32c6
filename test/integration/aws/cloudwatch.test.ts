import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EXAMPLE_KEYS, startAws } from '../../../stand-ins/aws.ts'
import { startProxy } from '../../../stand-ins/proxy.ts'
import { type AwsFault, startFaultyAws } from '../../support/aws-faults.ts'

const aws = await startAws({})
const cloudWatch = await startFaultyAws(aws.url)
const network = await startProxy({ host: '127.0.0.1', port: Number(new URL(cloudWatch.url).port) })
afterAll(() => Promise.all([network, cloudWatch, aws].map((part) => part.close())))

/** A certificate for `localhost` that no authority vouches for. */
function selfSigned(): { cert: Buffer; key: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-aws-'))
  const subject = '-subj /CN=localhost -addext subjectAltName=DNS:localhost'
  const files = '-keyout aws.key -out aws.crt'
  try {
    execFileSync(
      'openssl',
      `req -x509 -newkey rsa:2048 -nodes -days 2 ${subject} ${files}`.split(' '),
      { cwd: folder, stdio: 'pipe' },
    )
    return {
      cert: readFileSync(join(folder, 'aws.crt')),
      key: readFileSync(join(folder, 'aws.key')),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A process that has put nothing yet. */
let started: typeof import('../../../lambda/aws/cloudwatch.ts')

beforeEach(async () => {
  Object.assign(process.env, EXAMPLE_KEYS, { AWS_ENDPOINT_URL: cloudWatch.url })
  vi.resetModules()
  started = await import('../../../lambda/aws/cloudwatch.ts')
})

afterEach(() => {
  network.judge = () => 'pass'
  network.cut()
  cloudWatch.faults = []
  Object.assign(cloudWatch, { requests: 0, connections: 0 })
  aws.puts.length = 0
})

const put = (MetricName: string) =>
  started.putMetricData({ Namespace: 'Test', MetricData: [{ MetricName, Value: 1 }] })

const taken = () =>
  aws.puts.flatMap(({ MetricData }) => MetricData.map((datum) => datum.MetricName))

test('keeps one connection', async () => {
  for (const name of ['a', 'b', 'c']) await put(name)
  expect(taken()).toEqual(['a', 'b', 'c'])
  expect(cloudWatch.connections).toBe(1)
})

test.each(['end', 'reset'] as const)(
  'opens a new connection after CloudWatch did %s the idle one, and sends once',
  async (how) => {
    await put('before')
    await cloudWatch.drop(how)
    // A process that answers anything after it was thawed has seen by then what became of its connections.
    await fetch(aws.url)
    await put('after')
    expect(taken()).toEqual(['before', 'after'])
    expect(cloudWatch).toMatchObject({ connections: 2, requests: 2 })
  },
)

test.each<[string, AwsFault, string[]]>([
  ['is reset before the answer', 'lost', ['unsure']],
  ['is reset within the answer', 'cut', ['unsure']],
  ['gets no answer', 'silence', []],
])('a request that %s is not sent again, and the next one arrives', async (_, fault, arrived) => {
  for (const kept of [false, true]) {
    if (kept) await put('keeps a connection')
    aws.puts.length = 0
    cloudWatch.requests = 0
    cloudWatch.faults = [fault]
    await expect(put('unsure')).rejects.toBeInstanceOf(started.Unanswered)
    expect(cloudWatch.requests).toBe(1)
    expect(taken()).toEqual(arrived)
    await put('next')
    expect(taken()).toEqual([...arrived, 'next'])
  }
})

test('a request is no unanswered one if the connection was never trusted', async () => {
  const tls = await startAws({}, selfSigned())
  Object.assign(process.env, { AWS_ENDPOINT_URL: tls.url })
  const failure = await put('never sent').catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: expect.stringMatching(/SIGNATURE|CERT|ISSUER/) })
  expect(failure).not.toBeInstanceOf(started.Unanswered)
  expect(tls.puts).toEqual([])
  await tls.close()
})

test('a connection that the network forgot loses one request, and no later one is kept', async () => {
  Object.assign(process.env, { AWS_ENDPOINT_URL: `http://127.0.0.1:${network.port}` })
  await put('before')
  network.judge = () => 'lose'
  await expect(put('unsure')).rejects.toBeInstanceOf(started.Unanswered)
  network.judge = () => 'pass'
  cloudWatch.connections = 0
  for (const name of ['a', 'b']) await put(name)
  expect(taken()).toEqual(['before', 'a', 'b'])
  expect(cloudWatch.connections).toBe(2)
})

test.each<[string, AwsFault]>([
  ['throttles', { status: 400, type: 'ThrottlingException' }],
  ['fails', { status: 500, type: 'InternalFailure' }],
])('if CloudWatch %s, the request is sent again, and counts once', async (_, fault) => {
  cloudWatch.faults = [fault]
  await put('again')
  expect(taken()).toEqual(['again'])
  expect(cloudWatch.requests).toBe(2)
})

test.each([
  ['nobody listens', 'http://127.0.0.1:1'],
  ['its name is unknown', 'http://cloudwatch.invalid'],
])('if %s, the request was not sent, and the error is no question', async (_, url) => {
  Object.assign(process.env, { AWS_ENDPOINT_URL: url })
  const error = await put('never').catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(Error)
  expect(error).not.toBeInstanceOf(started.Unanswered)
  expect(error).toMatchObject({ $metadata: { attempts: 2 } })
})
