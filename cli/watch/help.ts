/** The page of help. It fits 80 columns and 18 rows. */
export const HELP = [
  '',
  'q, Ctrl-C     quit                    s          sort by another column',
  'p             pause, and go on        up, down   choose a pool, or scroll',
  'h, ?          this help               enter      the sessions of the pool',
  'Ctrl-Z        suspend                 esc        back to the pools',
  '',
  'busy      active            tx       idle in a transaction',
  'oldest    the longest that a session of the pool is idle',
  '+/m       sessions of the pool that were opened in the last minute and that a',
  '          look saw; one that lived between two looks is missed',
  'verdict   what the policy says, or what was done',
  '',
  'Next to meet a rule: the time left if the session is not used and the number of',
  'sessions does not change. A session with an advisory lock or a replication slot',
  'is spared then.',
  'Only REAPS ends sessions. "observes" ends none, whatever the lists say.',
]
