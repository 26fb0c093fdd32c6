/** Where a stack is deployed, as far as synthesis knows it. */
export type Place = { partition?: string; region?: string; account?: string }

const ARN = /^arn:(aws[\w-]*):([\w-]+):([a-z]+(?:-[a-z]+)+-\d):(\d{12}):(.+)$/
const SECRET_NAME = /^secret:[\w/+=.@!-]+$/

/** What Secrets Manager adds to a secret's name, and takes the end of every such name for. */
const SUFFIX = /-[A-Za-z0-9]{6}$/

/** One in two hundred suffixes looks like this, and many names end in it. */
const WORD = /-([a-z]{6}|[A-Z]{6}|\d{6})$/

const SECRET_FORM =
  'expected a secret\'s ARN, such as "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/slotkeeper-AbCdEf"'
const KEY_FORM =
  'expected a key\'s ARN, such as "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"'

/** Partition, region and account that an ARN names. */
export function placeOf(arn: string): Place {
  const [, partition, , region, account] = ARN.exec(arn) ?? []
  return { partition, region, account }
}

/** Whether Secrets Manager takes the ARN for a complete one. */
export function isComplete(arn: string): boolean {
  return SUFFIX.test(arn)
}

/**
 * Why a secret's ARN can't be used, or undefined. One without the suffix can be, unless its name ends
 * as if it had one: Secrets Manager then looks for a secret with the rest of the name.
 * Source: the parameter `SecretId` of `GetSecretValue`.
 */
export function secretArnProblem(arn: string): string | undefined {
  const [, , service, , , resource = ''] = ARN.exec(arn) ?? []
  if (service !== 'secretsmanager' || !SECRET_NAME.test(resource)) return SECRET_FORM
  const [word] = WORD.exec(resource) ?? []
  if (word === undefined) return undefined
  return `"${word}" can be the end of the name or the suffix that Secrets Manager adds; expected the whole ARN: where it is the name, add the suffix ("aws secretsmanager describe-secret" prints it); where it is the suffix, leave it out`
}

/** Why a KMS key's ARN can't be used, or undefined. Permissions name a key, never its alias. */
export function keyArnProblem(arn: string): string | undefined {
  const [, , service, , , resource = ''] = ARN.exec(arn) ?? []
  if (service !== 'kms') return KEY_FORM
  if (resource.startsWith('alias/')) return `this is an alias; ${KEY_FORM}`
  return resource.startsWith('key/') ? undefined : KEY_FORM
}

/**
 * Why the function can't read a secret, or undefined. The function asks in its own region, and the
 * default key of an account encrypts for that account alone.
 */
export function placeProblem(secret: Place, stack: Place, hasKey: boolean): string | undefined {
  const differs = (part: keyof Place) =>
    secret[part] !== undefined && stack[part] !== undefined && secret[part] !== stack[part]
  if (differs('partition')) {
    return `the secret is in partition ${secret.partition}, the stack in ${stack.partition}; expected a secret of the stack's own`
  }
  if (differs('region')) {
    return `the secret is in ${secret.region}, the stack in ${stack.region}; expected a secret of the stack's region (Secrets Manager can replicate it there)`
  }
  if (differs('account') && !hasKey) {
    return `the secret is in account ${secret.account}, the stack in ${stack.account}; expected its KMS key beside it, because the default key is for one account alone`
  }
  return undefined
}

/** The partition of a region. */
export function partitionOf(region: string | undefined): string | undefined {
  if (region === undefined) return undefined
  if (region.startsWith('cn-')) return 'aws-cn'
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
}
