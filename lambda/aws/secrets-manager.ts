// A module of its own, so that it is loaded where a secret is read, and without the other commands.
export { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
