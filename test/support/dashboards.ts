type Template = { Resources: Record<string, { Type: string; Properties: Record<string, unknown> }> }

/** What CloudWatch counts of a dashboard: the widgets, and the metrics in all of them. */
export type Page = { name: string; widgets: number; metrics: number; targets: string[] }

/** The dashboards of a template, whose bodies are texts that the deployment joins. */
export function pagesOf({ Resources }: Template): Page[] {
  return Object.values(Resources)
    .filter(({ Type }) => Type === 'AWS::CloudWatch::Dashboard')
    .map(({ Properties }) => {
      const { widgets } = JSON.parse(joined(Properties.DashboardBody)) as {
        widgets: { properties: { metrics?: unknown[][] } }[]
      }
      const metrics = widgets.flatMap(({ properties }) => properties.metrics ?? [])
      const targets = metrics.map((metric) => String(metric[metric.indexOf('Target') + 1]))
      return {
        name: String(Properties.DashboardName),
        widgets: widgets.length,
        metrics: metrics.length,
        targets: [...new Set(targets)],
      }
    })
}

function joined(body: unknown): string {
  if (typeof body === 'string') return body
  const [, parts] = (body as { 'Fn::Join': [string, unknown[]] })['Fn::Join']
  return parts.map((part) => (typeof part === 'string' ? part : 'known-at-deployment')).join('')
}
