// A separate module, so that it is loaded only if metrics are read, and without the other commands of the
// client.
export { CloudWatchClient, GetMetricDataCommand } from '@aws-sdk/client-cloudwatch'
