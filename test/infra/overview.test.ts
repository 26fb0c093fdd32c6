import { App, Stack } from 'aws-cdk-lib'
import { expect, test } from 'vitest'
import { OverviewDashboard, TargetMetrics } from '../../infra/index.ts'
import { pagesOf } from '../support/dashboards.ts'

test.each([
  [2, ['Slotkeeper']],
  [150, ['Slotkeeper']],
  [151, ['Slotkeeper', 'Slotkeeper_2']],
  [450, ['Slotkeeper', 'Slotkeeper_2', 'Slotkeeper_3']],
])('%d targets: each is on one page, and no page has over 500 metrics', (count, names) => {
  const app = new App()
  const stack = new Stack(app, 'Test')
  const targets = Array.from({ length: count }, (_, index) => `shop-${index}`)
  const metrics = targets.map((target) => new TargetMetrics('Slotkeeper', target, 'full'))
  new OverviewDashboard(stack, 'Overview', metrics)
  const pages = pagesOf(app.synth().getStackByName('Test').template)
  expect(pages.map(({ name }) => name)).toEqual(names)
  expect(pages.flatMap(({ targets }) => targets)).toEqual(targets)
  for (const page of pages) expect(page.metrics).toBeLessThanOrEqual(500)
})
