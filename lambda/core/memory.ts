import { identityOf, type Snapshot } from './session.ts'

/** Sessions of which an earlier look saw what the present one may not show. */
export type Memory = {
  /** Seen to listen; whatever ran since, PostgreSQL does not show that they stopped. */
  listeners: ReadonlySet<string>
  /** Seen to start a backup, and not to stop it. */
  backups: ReadonlySet<string>
}

/** The snapshot with what earlier looks saw of sessions that still live. */
export function recall(before: Memory | undefined, snapshot: Snapshot): Snapshot {
  if (before === undefined || before.listeners.size + before.backups.size === 0) return snapshot
  const sessions = snapshot.sessions.map((session) => ({
    ...session,
    listening: session.listening || before.listeners.has(identityOf(session)),
    backup: session.backup ?? (before.backups.has(identityOf(session)) || null),
  }))
  return { ...snapshot, sessions }
}

/** What is to be remembered of a snapshot into which was recalled what was known before. */
export function remember({ sessions }: Snapshot): Memory {
  return {
    listeners: new Set(sessions.filter(({ listening }) => listening).map(identityOf)),
    backups: new Set(sessions.filter(({ backup }) => backup).map(identityOf)),
  }
}
