// A separate module, so that it is loaded only if metrics are put, and without the other commands of the
// client.
export { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch'
