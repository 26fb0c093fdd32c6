// The parts of the AWS SDK in use, loaded late. They are one module, because what two modules share becomes a
// file of its own in the bundle.
export {
  CloudWatchClient,
  GetMetricDataCommand,
  PutMetricDataCommand,
} from '@aws-sdk/client-cloudwatch'
export { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
export { Signer } from '@aws-sdk/rds-signer'
