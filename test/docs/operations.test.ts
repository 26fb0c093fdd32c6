import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { App, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { describe, expect, test } from 'vitest'
import { SessionReaper } from '../../infra/index.ts'
import type { Mode } from '../../lambda/core/report.ts'

const runbook = readFileSync('docs/operations.md', 'utf8')

/** The text under a heading of the third level, without the marks of Markdown. */
function sectionOf(alarm: string): string {
  const [, text] = new RegExp(`^### \`${alarm}\`\\n([\\s\\S]*?)^##`, 'm').exec(runbook) ?? []
  return plain(text ?? '')
}

function plain(text: string): string {
  return text.replaceAll(/["`*]/g, '').replaceAll(/\s+/g, ' ')
}

function descriptions(mode: Mode, cluster: boolean): [alarm: string, description: string][] {
  const [host, resourceId] = cluster
    ? ['shop.cluster-abc.eu-central-1.rds.amazonaws.com', 'cluster-ABC']
    : ['shop.abc.eu-central-1.rds.amazonaws.com', 'db-ABC']
  const stack = new Stack(new App(), 'Test')
  new SessionReaper(stack, 'Shop', {
    target: 'shop',
    database: { host, resourceId, cluster },
    auth: { iamUser: 'slotkeeper' },
    policy: 'incident',
    mode,
  })
  const alarms = Template.fromStack(stack).findResources('AWS::CloudWatch::Alarm')
  return Object.entries(alarms).map(([id, { Properties }]) => [
    id.replace(/^ShopAlarms|[0-9A-F]{8}$/g, ''),
    Properties.AlarmDescription,
  ])
}

const said = (['reap', 'observe'] as const).flatMap((mode) =>
  [false, true].flatMap((cluster) =>
    descriptions(mode, cluster).map(([alarm, text]) => [mode, alarm, text] as const),
  ),
)

describe('an alarm says what its section of the runbook says', () => {
  test.each(said)('%s %s', (_, alarm, description) => {
    expect(description).toMatch(/^shop: [A-Z]/)
    const [words = '', link] = description.replace('shop: ', '').split(' Runbook: ')
    expect(link).toBe(`docs/operations.md#${alarm.toLowerCase()}`)
    const section = sectionOf(alarm).toLowerCase()
    const sentences = plain(words)
      .toLowerCase()
      .split(/\.(?: |$)/)
      .filter((sentence) => sentence !== '')
    expect(sentences.length).toBeGreaterThan(1)
    for (const sentence of sentences) expect(section).toContain(sentence)
  })

  // Of CloudWatch's API, PutMetricAlarm.
  test.each(said)('%s %s, in at most 1,024 characters', (_mode, _alarm, description) => {
    expect(description.length).toBeLessThanOrEqual(1024)
  })

  test('each section says what the alarm means, what to do now, and what then', () => {
    for (const alarm of new Set(said.map(([, alarm]) => alarm))) {
      const order = /What it means\..* Do now\..* Then\./
      expect(sectionOf(alarm), alarm).toMatch(order)
    }
  })
})

test('the variables that the commands need are outputs of each stack', () => {
  const named = [...runbook.matchAll(/\$\(output (\w+)\)/g)].map(([, name]) => name)
  expect(named).toEqual(['FunctionName', 'LogGroupName'])
  const stacks = readFileSync('infra/stacks.ts', 'utf8')
  for (const name of named) expect(stacks).toContain(`CfnOutput(stack, '${name}'`)
})

test('the commands are ones that a shell can read', () => {
  const commands = [...runbook.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text = '']) => text)
  expect(commands.length).toBeGreaterThan(10)
  for (const input of commands) {
    expect(() =>
      execFileSync('bash', ['-n'], { input, stdio: ['pipe', 'pipe', 'pipe'] }),
    ).not.toThrow()
  }
})
