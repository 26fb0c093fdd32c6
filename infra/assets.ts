import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AssetHashType, DockerImage, Token } from 'aws-cdk-lib'
import { Code } from 'aws-cdk-lib/aws-lambda'

/** Of no use to the function, and larger than it. */
const EXCLUDED = ['*.map']

/** Lambda takes 4 KB of environment; what is shorter leaves room for the other variables. */
const MOST_POLICY_BYTES = 2048
const POLICY_FILE = 'policy.json'
/** The certificate authorities that the functions trust, a file of the bundle. */
const CA_FILE = 'rds-ca.pem'

/** The code of the function, and its variable `SLOTKEEPER_POLICY`. */
export type FunctionCode = { code: Code; policy: string }

/**
 * A policy that is too long for the environment goes along as a file beside the bundle, as do
 * certificate authorities, in PEM form.
 * @throws Error where CloudFormation would have to fill in a value of that file
 */
export function sweepCode(policyJson: string, authorities?: string): FunctionCode {
  if (Buffer.byteLength(policyJson) <= MOST_POLICY_BYTES) {
    return { code: codeOf('lambda', {}, authorities), policy: policyJson }
  }
  if (Token.isUnresolved(policyJson)) {
    throw new Error(
      `the policy is longer than ${MOST_POLICY_BYTES} bytes and holds a value that is known only in the deployment, which would match nobody; write the value itself, or make the policy shorter`,
    )
  }
  const code = codeOf('lambda', { [POLICY_FILE]: policyJson }, authorities)
  return { code, policy: `file:${POLICY_FILE}` }
}

/** The code of the function that makes the database role. */
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
      // Never asked for: the copy is made by this process.
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

/** One level below the package's root stand both the sources of this file and its built form. */
export function builtFolder(name: string): string {
  const folder = fileURLToPath(new URL(`../dist/${name}`, import.meta.url))
  if (!existsSync(folder)) throw new Error(`${folder} is not there: run "npm run build" first`)
  return folder
}
