import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { App } from 'aws-cdk-lib'
import { beforeAll, expect, test } from 'vitest'
import { readContext } from '../../infra/context.ts'
import { addStacks } from '../../infra/stacks.ts'
import { pagesOf } from '../support/dashboards.ts'

const TARGETS = 1_000
/** Limits of CloudFormation, of a template. */
const MOST_RESOURCES = 500
const MOST_BYTES = 1_000_000
/** CloudWatch's limit of widgets, and what the overview keeps of metrics, in a dashboard. */
const MOST_WIDGETS = 500
const MOST_METRICS = 500
/** The two functions, those of the CDK's provider framework, and the file of the assets of each stack. */
const MOST_ASSET_FOLDERS = 4

const names = Array.from(
  { length: TARGETS },
  (_, index) => `fleet-${String(index).padStart(4, '0')}`,
)

/** Every tenth is a cluster. The deployment makes the role of every other one, with a bound. */
const targets = names.map((name, index) => {
  const cluster = index % 10 === 0
  const secret = `arn:aws:secretsmanager:eu-central-1:111122223333:secret:${name}`
  return {
    name,
    host: `${name}.${cluster ? 'cluster-' : ''}c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com`,
    ...(cluster && { cluster }),
    secretArn: `${secret}/slotkeeper`,
    ...(index % 2 === 0 && {
      adminSecretArn: `${secret}/master`,
      bounds: [{ user: 'app', idleSessionTimeout: '1h' }],
    }),
    mode: 'observe',
  }
})

let assembly: ReturnType<App['synth']>
beforeAll(() => {
  const app = new App()
  addStacks(app, readContext({ targets }))
  assembly = app.synth()
})

test('a thousand targets have a stack each, and one that they share', () => {
  expect(assembly.stacks.map(({ stackName }) => stackName).sort()).toEqual(
    ['Slotkeeper', ...names.map((name) => `Slotkeeper-${name}`)].sort(),
  )
})

test('every stack is within the limits of CloudFormation', () => {
  for (const { template, templateFullPath } of assembly.stacks) {
    expect(Object.keys(template.Resources).length).toBeLessThanOrEqual(MOST_RESOURCES)
    expect(statSync(templateFullPath).size).toBeLessThanOrEqual(MOST_BYTES)
  }
})

test('every dashboard is within the limits of CloudWatch, and the overview has each target once', () => {
  const pages = assembly.stacks.flatMap(({ template }) => pagesOf(template))
  for (const { widgets, metrics } of pages) {
    expect(widgets).toBeLessThanOrEqual(MOST_WIDGETS)
    expect(metrics).toBeLessThanOrEqual(MOST_METRICS)
  }
  const overview = pagesOf(assembly.getStackByName('Slotkeeper').template)
  expect(overview.flatMap(({ targets }) => targets)).toEqual(names)
})

test('all targets share the files of their functions', () => {
  const folders = readdirSync(assembly.directory).filter(
    (name) => name.startsWith('asset.') && statSync(join(assembly.directory, name)).isDirectory(),
  )
  expect(folders.length).toBeGreaterThan(1)
  expect(folders.length).toBeLessThanOrEqual(MOST_ASSET_FOLDERS)
})
