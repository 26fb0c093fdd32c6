// A separate module, so that it is loaded only if a log group is read, and without the other commands of the
// client.
export { CloudWatchLogsClient, paginateFilterLogEvents } from '@aws-sdk/client-cloudwatch-logs'
