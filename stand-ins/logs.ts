/** An event of a log group. The service gives each an id, and knows when it came. */
export type LogEvent = { timestamp: number; message: string; logStreamName?: string }

export type LogQuery = {
  logGroupName?: string
  startTime?: number
  endTime?: number
  filterPattern?: string
  nextToken?: string
  limit?: number
}

/** One request searches so many events, and may find none while there are more. */
const SEARCHED = 40
const MOST_BYTES = 1024 * 1024
const MOST_EVENTS = 10_000

export type Refuse = (type: string, message: string) => Error

/**
 * Answers FilterLogEvents by its API reference: events in the order of their time, at most 10,000 or 1 MB of them,
 * and a token for the next ones that only the same query can use.
 */
export function filterLogEvents(
  groups: ReadonlyMap<string, LogEvent[]>,
  { nextToken, ...query }: LogQuery,
  refuse: Refuse,
): object {
  const { logGroupName = '', startTime = 0, endTime = Number.MAX_SAFE_INTEGER } = query
  const group = groups.get(logGroupName)
  if (!group) throw refuse('ResourceNotFoundException', 'The specified log group does not exist.')
  const { limit = MOST_EVENTS } = query
  const phrase = /^"([\w-]+)"$/.exec(query.filterPattern ?? '')?.[1]
  if (phrase === undefined || limit > MOST_EVENTS) {
    throw refuse('InvalidParameterException', 'Invalid filter pattern or limit')
  }
  const events = group
    .map(stored)
    .filter(({ timestamp }) => timestamp >= startTime && timestamp <= endTime)
    .sort((a, b) => a.timestamp - b.timestamp)
  const token = (next: number) => Buffer.from(JSON.stringify({ next, query })).toString('base64')
  const start = nextToken === undefined ? 0 : placeIn(nextToken, token)
  if (start === undefined) {
    throw refuse('InvalidParameterException', 'The specified nextToken is invalid.')
  }
  const { found, next } = page(events, start, phrase, limit)
  const more = next < events.length && { nextToken: token(next) }
  return { events: found, searchedLogStreams: [], ...more }
}

const stored = (event: LogEvent, index: number) => ({
  logStreamName: '2026/01/01/[$LATEST]0',
  ...event,
  eventId: String(index).padStart(56, '0'),
  ingestionTime: event.timestamp,
})

/** The events of one answer, and the place where the next one begins. */
function page(events: Required<LogEvent>[], start: number, phrase: string, limit: number) {
  const found: LogEvent[] = []
  let bytes = 0
  let next = start
  for (const event of events.slice(start, start + SEARCHED)) {
    const matches = event.message.includes(phrase)
    if (matches) bytes += Buffer.byteLength(event.message) + 26
    if (found.length === limit || (bytes > MOST_BYTES && found.length > 0)) break
    if (matches) found.push(event)
    next += 1
  }
  return { found, next }
}

/** The place that a token of the same query names. */
function placeIn(token: string, tokenOf: (next: number) => string): number | undefined {
  const [, place] = /"next":(\d+)/.exec(Buffer.from(token, 'base64').toString()) ?? []
  return place !== undefined && token === tokenOf(Number(place)) ? Number(place) : undefined
}
