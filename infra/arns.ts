/** Where a stack is deployed. A field is undefined if synthesis does not know it. */
export type Place = { partition?: string; region?: string; account?: string }

const ARN = /^arn:(aws[\w-]*):([\w-]+):([a-z]+(?:-[a-z]+)+-\d):(\d{12}):(.+)$/
const SECRET_NAME = /^secret:[\w/+=.@!-]+$/

/** The suffix that Secrets Manager adds to a secret's name. It takes any name that ends like this as complete. */
const SUFFIX = /-[A-Za-z0-9]{6}$/

/** Ends that may be a word of the name: many names end like this, but only one in two hundred suffixes. */
const WORD = /-([a-z]{6}|[A-Z]{6}|\d{6})$/

const SECRET_FORM =
  'expected a secret\'s ARN, such as "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/slotkeeper-AbCdEf"'
const KEY_FORM =
  'expected a key\'s ARN, such as "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"'

/** The partition, region and account of an ARN. */
export function placeOf(arn: string): Place {
  const [, partition, , region, account] = ARN.exec(arn) ?? []
  return { partition, region, account }
}

/** Whether Secrets Manager treats the ARN as complete. */
export function isComplete(arn: string): boolean {
  return SUFFIX.test(arn)
}

/**
 * Why a secret's ARN can't be used, or undefined. An ARN without the suffix can be used, unless its name
 * ends like a suffix: Secrets Manager would then look for a secret with a shorter name.
 * Source: the parameter `SecretId` of `GetSecretValue`.
 */
export function secretArnProblem(arn: string): string | undefined {
  const [, , service, , , resource = ''] = ARN.exec(arn) ?? []
  if (service !== 'secretsmanager' || !SECRET_NAME.test(resource)) return SECRET_FORM
  const [word] = WORD.exec(resource) ?? []
  if (word === undefined) return undefined
  return `"${word}" can be the end of the name or the suffix that Secrets Manager adds; expected an ARN that is clear: if "${word}" is part of the name, add the suffix ("aws secretsmanager describe-secret" prints the whole ARN); if it is the suffix, leave it out`
}

/** Why a KMS key's ARN can't be used, or undefined. An IAM policy needs the key's ARN, not an alias. */
export function keyArnProblem(arn: string): string | undefined {
  const [, , service, , , resource = ''] = ARN.exec(arn) ?? []
  if (service !== 'kms') return KEY_FORM
  if (resource.startsWith('alias/')) return `this is an alias; ${KEY_FORM}`
  return resource.startsWith('key/') ? undefined : KEY_FORM
}

/**
 * Why the function can't read a secret, or undefined. The function asks Secrets Manager in its own
 * region. The default key of an account works for that account only.
 */
export function placeProblem(secret: Place, stack: Place, hasKey: boolean): string | undefined {
  const differs = (part: keyof Place) =>
    secret[part] !== undefined && stack[part] !== undefined && secret[part] !== stack[part]
  if (differs('partition')) {
    return `the secret is in partition ${secret.partition}, the stack in ${stack.partition}; expected a secret in the stack's partition`
  }
  if (differs('region')) {
    return `the secret is in ${secret.region}, the stack in ${stack.region}; expected a secret in the stack's region (Secrets Manager can replicate it there)`
  }
  if (differs('account') && !hasKey) {
    return `the secret is in account ${secret.account}, the stack in ${stack.account}; expected its KMS key beside it, because the default key works for one account only`
  }
  return undefined
}

/** The partition of a region. */
export function partitionOf(region: string | undefined): string | undefined {
  if (region === undefined) return undefined
  if (region.startsWith('cn-')) return 'aws-cn'
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
}
