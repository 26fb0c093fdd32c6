import { afterAll, expect, test } from 'vitest'
import type { Report } from '../../lambda/core/report.ts'
import { EXAMPLE_KEYS, startAws } from '../../stand-ins/aws.ts'
import { type Lambda, startLambda } from '../../stand-ins/lambda.ts'
import { hostileText, isHarmless, json } from '../support/hostile.ts'
import { fc } from '../support/seeded.ts'
import { REAPER_ROLES, testServer } from '../support/server.ts'

const SECRET = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:test'
const FUNCTION_TIMEOUT_MS = 30_000
const POLICY = JSON.stringify({
  scope: { users: ['shop_*'] },
  rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
})

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')
const aws = await startAws({
  [SECRET]: JSON.stringify({ username: reaper.user, password: reaper.password }),
})
const started: Lambda[] = []
afterAll(async () => {
  await Promise.all(started.map((lambda) => lambda.stop()))
  await aws.close()
})

async function start(mode: 'observe' | 'reap') {
  const lambda = await startLambda({
    bundle: 'dist/lambda',
    bootstrap: 'dist/bootstrap.mjs',
    timeoutMs: FUNCTION_TIMEOUT_MS,
    environment: {
      ...EXAMPLE_KEYS,
      AWS_ENDPOINT_URL: aws.url,
      SLOTKEEPER_TARGET: 'shop',
      SLOTKEEPER_MODE: mode,
      SLOTKEEPER_POLICY: POLICY,
      SLOTKEEPER_SECRET_ARN: SECRET,
      SLOTKEEPER_HOST: db.server.host,
      SLOTKEEPER_PORT: String(db.server.port),
      SLOTKEEPER_TLS: 'off',
    },
  })
  started.push(lambda)
  return lambda
}

const mode = fc.oneof(
  fc.constantFrom<unknown>('observe', 'reap', null, 'Observe', ' observe', 'kill', ['observe']),
  fc.constantFrom<unknown>({ toString: 1 }, { toJSON: 'reap', valueOf: null }, 'x'.repeat(100_000)),
  hostileText,
  json,
)
const event = fc.oneof(
  { arbitrary: fc.record({ mode }), weight: 5 },
  fc.record({ source: json, Mode: mode }),
  fc.constant(JSON.parse('{"__proto__": {"mode": "reap"}, "constructor": {"mode": "reap"}}')),
  json,
)
const deep = JSON.parse(`${'['.repeat(2_000)}${']'.repeat(2_000)}`)

/** The mode that an event asks for, or undefined where there is none of that name. */
function askedBy(sent: unknown, configured: 'observe' | 'reap'): string | undefined {
  if (typeof sent !== 'object' || sent === null || !Object.hasOwn(sent, 'mode')) return configured
  const asked = (sent as { mode: unknown }).mode
  if (asked === 'observe') return 'observe'
  return asked === 'reap' ? configured : undefined
}

test.each(['observe', 'reap'] as const)(
  'no event makes more of the mode %s than it is, and a wrong one is told',
  async (configured) => {
    const lambda = await start(configured)
    const bystander = await db.open(app, 'php')
    await fc.assert(
      fc.asyncProperty(event, async (sent) => {
        // In place of what an earlier event had ended.
        const victim = bystander.isAlive() ? bystander : await db.open(app, 'php')
        const { ok, payload } = await lambda.invoke(sent)
        const asked = askedBy(sent, configured)
        expect(ok).toBe(asked !== undefined)
        if (asked === undefined) {
          const { errorType, errorMessage } = payload as Record<string, string>
          expect(errorType).toBe('Slotkeeper.settings')
          expect(errorMessage).toMatch(/^event\.mode: found .*; expected "observe", or no mode$/)
          expect(isHarmless(errorMessage ?? '') && (errorMessage ?? '').length < 200).toBe(true)
        } else {
          const report = payload as Report
          expect(report.mode).toBe(asked)
          const { reaped, wouldReap } = report
          expect([...reaped, ...wouldReap].map(({ pid }) => pid)).toContain(victim.pid)
        }
        if (asked === 'reap') await victim.ended
        else expect(victim.isAlive()).toBe(true)
        if (victim !== bystander) await victim.client.end()
      }),
      { numRuns: 60, examples: [[{ mode: { toString: 1 } }], [{ mode: deep }]] },
    )
    if (bystander.isAlive()) await bystander.client.end()
  },
)
