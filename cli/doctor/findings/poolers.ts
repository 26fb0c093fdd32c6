import type { Case } from '../case.ts'
import type { Finding } from '../diagnosis.ts'
import { FRAMEWORK_NAMES, isPooler } from '../recognise.ts'
import { adjustPooler } from '../remedies.ts'
import { nameOf, plural } from '../words.ts'

/** Sessions that a pooler holds for its clients. */
export function findPoolers({ fleets }: Case): Finding[] {
  return fleets
    .filter(({ recognised }) => isPooler(recognised))
    .map((fleet) => {
      const { recognised, usage, pool } = fleet
      const name = FRAMEWORK_NAMES[recognised.framework ?? 'pooler']
      return {
        id: 'pooler' as const,
        severity: 'info' as const,
        title: `${plural(usage.members.length, 'session')} of ${nameOf(fleet)} ${usage.members.length === 1 ? 'is' : 'are'} probably of ${name}`,
        evidence: {
          sessions: usage.members.length,
          probably: recognised.framework ?? null,
          recognisedBy: recognised.by,
        },
        pool,
        remedies: adjustPooler(fleet),
      }
    })
}

/** The doctor asked a pooler, which may send each look to another server session, or to another server. */
export function findBehindPooler({ observed }: Case): Finding[] {
  if (!observed.facts.throughPooler) return []
  return [
    {
      id: 'behind-pooler',
      severity: 'warning',
      title: 'This connection goes through a pooler: its own login hid the server',
      evidence: { target: observed.target },
      remedies: [
        {
          kind: 'application',
          text: "--url postgres://USER@SERVER:5432/DATABASE, with the server's own endpoint and port",
          why: 'A pooler is full before or after its server is, and a sweep refuses to end sessions through one. What this shows is the server behind it.',
        },
      ],
    },
  ]
}
