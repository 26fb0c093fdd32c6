import { App } from 'aws-cdk-lib'
import { readContext } from './context.ts'
import { refuseRepeatedKeys } from './context-files.ts'
import { addStacks } from './stacks.ts'

const app = new App()
try {
  // Without credentials the CDK knows no account and can't deploy. Placeholders are then allowed, so that
  // the examples can be synthesized.
  const { CDK_DEFAULT_ACCOUNT: account, CDK_DEFAULT_REGION: region } = process.env
  const deployment = account ? { account, region } : {}
  const given = app.node.tryGetContext('slotkeeper')
  refuseRepeatedKeys(given, process.cwd())
  addStacks(app, readContext(given, deployment))
} catch (error) {
  process.stderr.write(`slotkeeper: ${(error as Error).message}\n`)
  process.exit(1)
}
app.synth()
