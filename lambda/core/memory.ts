import { identityOf, type Snapshot } from './session.ts'

/** What earlier snapshots showed about sessions and a later snapshot may not show. */
export type Memory = {
  /** Sessions that listened. PostgreSQL does not show whether they stopped, whatever they ran since. */
  listeners: ReadonlySet<string>
  /** Sessions that started a backup and were not seen to stop it. */
  backups: ReadonlySet<string>
}

/** Adds to a snapshot what earlier snapshots showed about the sessions that still exist. */
export function recall(before: Memory | undefined, snapshot: Snapshot): Snapshot {
  if (before === undefined || before.listeners.size + before.backups.size === 0) return snapshot
  const sessions = snapshot.sessions.map((session) => ({
    ...session,
    listening: session.listening || before.listeners.has(identityOf(session)),
    backup: session.backup ?? (before.backups.has(identityOf(session)) || null),
  }))
  return { ...snapshot, sessions }
}

/** What to remember of a snapshot. Apply `recall` to the snapshot first, or the earlier memory is lost. */
export function remember({ sessions }: Snapshot): Memory {
  return {
    listeners: new Set(sessions.filter(({ listening }) => listening).map(identityOf)),
    backups: new Set(sessions.filter(({ backup }) => backup).map(identityOf)),
  }
}
