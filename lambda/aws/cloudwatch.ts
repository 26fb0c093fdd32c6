// A module of its own, so that it is loaded where metrics are put, and without the other commands.
export { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch'
