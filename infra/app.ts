import { App } from 'aws-cdk-lib'
import { readContext } from './context.ts'
import { refuseRepeatedKeys } from './context-files.ts'
import { addStacks } from './stacks.ts'

const app = new App()
try {
  // The CDK knows an account only where it could deploy to it: examples are for looking at.
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
