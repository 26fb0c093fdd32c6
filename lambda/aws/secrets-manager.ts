// A separate module, so that it is loaded only if a secret is read, and without the other commands of the
// client.
export { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
