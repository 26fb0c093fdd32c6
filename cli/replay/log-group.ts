import type { FilteredLogEvent } from '@aws-sdk/client-cloudwatch-logs'
import { isRecordingLine } from '../../lambda/core/recording-reader.ts'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'
import { instant } from './rounding.ts'
import type { Line, Source } from './sources.ts'

/** A log group, and a period of it, ms since the epoch. */
export type LogGroup = { name: string; fromMs: number; toMs: number }

/** What has been read so far. */
export type Progress = { pages: number; lines: number; upToMs: number | undefined }

/** A term that matches anywhere in an event, whatever is around the line. */
const PATTERN = '"slotkeeperRecording"'

/**
 * Pages are read for minutes. A page that is throttled, or lost on its way, is asked for again with the token that
 * it had, after growing pauses of up to 20 s.
 */
const CLIENT_OPTIONS = {
  maxAttempts: 12,
  requestHandler: { connectionTimeout: 5_000, requestTimeout: 60_000, throwOnRequestTimeout: true },
}

/**
 * The lines that functions wrote to their log.
 * @param tell is called after each page, and once more after the last one
 */
export function logGroupSource(
  group: LogGroup,
  tell: (progress: Progress, isLast: boolean) => void,
): Source {
  return { name: `log group ${group.name}`, lines: () => linesOf(group, tell) }
}

async function* linesOf(
  { name, fromMs, toMs }: LogGroup,
  tell: (progress: Progress, isLast: boolean) => void,
): AsyncGenerator<Line> {
  const { CloudWatchLogsClient, paginateFilterLogEvents } = await import('./cloudwatch-logs.ts')
  const client = new CloudWatchLogsClient(CLIENT_OPTIONS)
  // An end in the past keeps a log that is still written from having ever more pages.
  const query = { logGroupName: name, startTime: fromMs, endTime: toMs, filterPattern: PATTERN }
  const progress: Progress = { pages: 0, lines: 0, upToMs: undefined }
  try {
    for await (const { events = [] } of paginateFilterLogEvents({ client }, query)) {
      progress.pages += 1
      progress.upToMs = events.at(-1)?.timestamp ?? progress.upToMs
      for (const event of events) {
        const text = recordingIn(event.message ?? '')
        if (text === undefined) continue
        progress.lines += 1
        yield { text, where: () => whereIs(name, event) }
      }
      tell(progress, false)
    }
    tell(progress, true)
  } catch (error) {
    throw error instanceof SlotkeeperError ? error : failure(name, error, progress)
  } finally {
    client.destroy()
  }
}

function whereIs(group: string, { logStreamName, timestamp = 0 }: FilteredLogEvent): string {
  return `log group ${group}, stream ${logStreamName}, ${instant(timestamp)}`
}

/**
 * The line of a recording in a log event. What Lambda does not recognise as a log line, it wraps into one of its
 * own, whose `message` is then the text or the object.
 */
export function recordingIn(message: string): string | undefined {
  const text = message.trim()
  if (text.startsWith('{"slotkeeperRecording":')) return text
  const inner = messageIn(text)
  const line = typeof inner === 'object' ? JSON.stringify(inner) : inner
  return isRecordingLine(line) ? line : undefined
}

/** The message of a wrapped line; otherwise the line itself. */
function messageIn(text: string): string | object {
  try {
    const { message } = JSON.parse(text) as { message?: unknown }
    return isWrapped(message) ? message : text
  } catch {
    return text
  }
}

const isWrapped = (message: unknown): message is string | object =>
  typeof message === 'string' || (typeof message === 'object' && message !== null)

function failure(group: string, error: unknown, { pages, upToMs }: Progress): SlotkeeperError {
  const name = error instanceof Error ? error.name : ''
  const reached = upToMs === undefined ? '' : ` It had come to ${instant(upToMs)}.`
  const what = `log group ${group} could not be read (page ${pages + 1}): ${messageOf(error)}.${reached}`
  if (name === 'ResourceNotFoundException') {
    return new SlotkeeperError('settings', `${what} Check its name, and AWS_REGION.`, {
      cause: error,
    })
  }
  return new SlotkeeperError(
    'credentials',
    `${what} Check your AWS credentials, logs:FilterLogEvents on the log group, AWS_REGION, and the network.`,
    { cause: error },
  )
}
