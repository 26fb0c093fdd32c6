import { App } from 'aws-cdk-lib'
import { readContext, refusePlaceholders } from './context.ts'
import { refuseRepeatedKeys } from './context-files.ts'
import { addStacks } from './stacks.ts'

const app = new App()
try {
  const given = app.node.tryGetContext('slotkeeper')
  refuseRepeatedKeys(given, process.cwd())
  const context = readContext(given)
  // The CDK knows an account only where it could deploy to it: examples are for looking at.
  if (process.env.CDK_DEFAULT_ACCOUNT) refusePlaceholders(context)
  addStacks(app, context)
} catch (error) {
  process.stderr.write(`slotkeeper: ${(error as Error).message}\n`)
  process.exit(1)
}
app.synth()
