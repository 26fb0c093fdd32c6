import { printable } from '../../lambda/core/text.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { paint, table } from '../show.ts'
import type { Examined } from './cluster.ts'
import { showDiagnosis } from './show.ts'

const HEAD = [
  'instance',
  'role',
  '>used %',
  '>slots used',
  '>critical',
  '>warning',
  'worst finding',
]

/** The instances of a cluster side by side, then the diagnosis of each. */
export function showInstances(target: string, instances: Examined[], width = 80): string {
  return [
    paint('bold', `${printable(target)}, ${instances.length} instances`),
    table(HEAD, instances.map(row)),
    ...instances.flatMap(({ id, result }) =>
      result instanceof SlotkeeperError
        ? [paint('red', printable(`${id}: ${result.kind}: ${result.message}`))]
        : [],
    ),
    ...instances.flatMap(({ result }) =>
      result instanceof SlotkeeperError
        ? []
        : ['', paint('dim', '-'.repeat(width)), showDiagnosis(result, width)],
    ),
  ].join('\n')
}

function row({ id, isWriter, result }: Examined): string[] {
  const role = isWriter ? 'writer' : 'reader'
  if (result instanceof SlotkeeperError) return [id, role, '-', '-', '-', '-', result.kind]
  const { slots, findings } = result
  const count = (of: 'critical' | 'warning') =>
    String(findings.filter(({ severity }) => severity === of).length)
  return [
    id,
    role,
    String(slots.usedPercent),
    `${slots.used} of ${slots.max - slots.reserved}`,
    count('critical'),
    count('warning'),
    findings[0]?.id ?? '-',
  ]
}
