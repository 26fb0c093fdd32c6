import { escapeLiteral } from 'pg'
import type { ReapVerdict } from '../core/verdict.ts'

/**
 * What identifies each session, as SQL arguments for `unnest`: arrays of pid, backend start, state change
 * (both in seconds since the epoch), state and action, all of the same length.
 */
export function arraysOf(verdicts: ReapVerdict[]): string {
  const array = (type: string, of: (verdict: ReapVerdict) => string | number) =>
    `${escapeLiteral(`{${verdicts.map(of).join(',')}}`)}::${type}[]`
  return [
    array('int', ({ session }) => session.pid),
    array('float8', ({ session }) => session.backendStart),
    array('float8', ({ session }) => session.stateChange ?? 'null'),
    array('text', ({ session }) => JSON.stringify(session.state)),
    array('text', ({ action }) => action),
  ].join(', ')
}
