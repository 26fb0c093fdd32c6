import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AssetHashType, DockerImage, Token } from 'aws-cdk-lib'
import { Code } from 'aws-cdk-lib/aws-lambda'

/** Source maps: the function does not use them, and they are larger than its code. */
const EXCLUDED = ['*.map']

/** Lambda allows 4 KB of environment variables. This limit leaves room for the other variables. */
const MOST_POLICY_BYTES = 2048
const POLICY_FILE = 'policy.json'
/** The file in the bundle with the certificate authorities that the functions trust. */
const CA_FILE = 'rds-ca.pem'

/** The code of the function, and the value of its variable `SLOTKEEPER_POLICY`. */
export type FunctionCode = { code: Code; policy: string }

/**
 * The code of the sweep. A policy that is too long for the environment becomes a file beside the bundle.
 * @param authorities more certificate authorities in PEM form, added to the bundle's own file
 * @throws Error if the policy is too long and contains a value that only the deployment knows
 */
export function sweepCode(policyJson: string, authorities?: string): FunctionCode {
  if (Buffer.byteLength(policyJson) <= MOST_POLICY_BYTES) {
    return { code: codeOf('lambda', {}, authorities), policy: policyJson }
  }
  if (Token.isUnresolved(policyJson)) {
    throw new Error(
      `the policy is longer than ${MOST_POLICY_BYTES} bytes and contains a value that only the deployment knows, which a file can't contain; write the value itself, or make the policy shorter`,
    )
  }
  const code = codeOf('lambda', { [POLICY_FILE]: policyJson }, authorities)
  return { code, policy: `file:${POLICY_FILE}` }
}

/** The code of the function that creates the database role. */
export function provisionCode(authorities?: string): Code {
  return codeOf('provision', {}, authorities)
}

function codeOf(name: string, files: Record<string, string>, authorities?: string): Code {
  const bundle = builtFolder(name)
  const all = { ...files }
  if (authorities !== undefined) {
    all[CA_FILE] = `${readFileSync(join(bundle, CA_FILE), 'utf8')}\n${authorities}\n`
  }
  if (Object.keys(all).length === 0) return Code.fromAsset(bundle, { exclude: EXCLUDED })
  return Code.fromAsset(bundle, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      // The CDK requires an image, but never uses it: `tryBundle` always succeeds.
      image: DockerImage.fromRegistry('scratch'),
      local: {
        tryBundle(folder) {
          cpSync(bundle, folder, { recursive: true, filter: (file) => !file.endsWith('.map') })
          for (const [file, text] of Object.entries(all)) writeFileSync(join(folder, file), text)
          return true
        },
      },
    },
  })
}

/** The folder of a built function. Both this source file and its built form are one folder below the package's root. */
export function builtFolder(name: string): string {
  const folder = fileURLToPath(new URL(`../dist/${name}`, import.meta.url))
  if (!existsSync(folder)) throw new Error(`${folder} does not exist: run "npm run build" first`)
  return folder
}
