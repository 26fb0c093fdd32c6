// The parts of the AWS SDK in use. They are one module, loaded late: the build makes one file of it, which the
// function reads faster than a file for each part that two clients share.
export { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch'
export { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
export { Signer } from '@aws-sdk/rds-signer'
