/** The document that each bench writes its table into, as a path from the root of the repository. */
export const DOCUMENTS = {
  reap: 'docs/speed.md',
  quiet: 'docs/speed.md',
  start: 'docs/speed.md',
  lambda: 'docs/operations.md',
  scale: 'docs/speed.md',
  profile: 'docs/speed.md',
  replay: 'docs/speed.md',
  wrongful: 'docs/safety.md',
  cost: 'docs/operations.md',
  fleet: 'docs/operations.md',
} as const

export type BenchName = keyof typeof DOCUMENTS
