/** What an instance of an Aurora cluster says of itself and the others: a row of `aurora_replica_status()`. */
export type InstanceRow = {
  /** The identifier of the instance, in lower case. */
  id: string
  /** Whether the row says that it is the writer. */
  isWriter: boolean
  /** Seconds since the instance was last heard from; NULL for the instance that answers (13.9+). */
  silentSeconds: number | null
}

/** One instance of a cluster. */
export type Instance = {
  id: string
  isWriter: boolean
  /** Whether it was not heard from for so long that it may be gone. */
  isLeaving: boolean
}

/** AWS's own drivers take an instance for gone after this time. */
const GONE_AFTER_S = 300
/**
 * An instance that runs reports several times a second. One that left the cluster stays in the list until
 * `GONE_AFTER_S`, and can't be reached any more.
 */
const LEAVING_AFTER_S = 60

/**
 * The instances that belong to the cluster now: those heard from within the last 300 s, the one that answers, and
 * the writer. The writer comes first, then the others by name. After a failover two rows may say that they are the
 * writer; the one heard from last is.
 */
export function presentInstances(rows: InstanceRow[]): Instance[] {
  const silence = ({ silentSeconds }: InstanceRow) => silentSeconds ?? 0
  const bySilence = [...rows].sort((a, b) => silence(a) - silence(b))
  const writer = bySilence.find(({ isWriter }) => isWriter)
  // An instance that was renamed or promoted may have an older row too.
  const latest = new Map([...bySilence].reverse().map((row) => [row.id, row]))
  return [...latest.values()]
    .filter((row) => silence(row) <= GONE_AFTER_S || row.id === writer?.id)
    .map((row) => ({
      id: row.id,
      isWriter: row.id === writer?.id,
      isLeaving: silence(row) > LEAVING_AFTER_S,
    }))
    .sort((a, b) => Number(b.isWriter) - Number(a.isWriter) || (a.id < b.id ? -1 : 1))
}
