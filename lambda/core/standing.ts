import { compileMatch, type Match } from './match.ts'
import type { Policy, Rule } from './policy.ts'
import { poolOf } from './pool.ts'
import type { Session } from './session.ts'

/** What the matches of a policy say about one pool. */
export type Standing = {
  inScope: boolean
  /** The first protection that selects it, as a text for people. */
  protector: string | undefined
  /** The rules whose `match` selects it, in their order. */
  rules: Rule[]
}

/** A match depends only on the fields of a pool, so each match is evaluated once for each pool. */
export function compileMatches(
  policy: Policy,
  serverVersion: number,
): (session: Session) => Standing {
  const compile = (match: Match) => compileMatch(match, serverVersion)
  const inScope = compile(policy.scope)
  const protections = (policy.protect ?? []).map(compile)
  const rules = policy.rules.map((rule) => ({ rule, matches: compile(rule.match ?? {}) }))
  const known = new Map<string, Standing>()

  const findStanding = (session: Session): Standing => {
    const index = protections.findIndex((matches) => matches(session))
    return {
      inScope: inScope(session),
      protector: index < 0 ? undefined : `protect[${index}] of the policy`,
      rules: rules.filter(({ matches }) => matches(session)).map(({ rule }) => rule),
    }
  }
  return (session) => {
    const pool = poolOf(session)
    const standing = known.get(pool) ?? findStanding(session)
    known.set(pool, standing)
    return standing
  }
}
