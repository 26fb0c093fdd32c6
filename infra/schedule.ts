import { Duration, Validations } from 'aws-cdk-lib'
import { type IRuleTarget, Rule, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction, SqsQueue } from 'aws-cdk-lib/aws-events-targets'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources'
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs'
import { Construct } from 'constructs'

const MINUTE = Duration.minutes(1)
/** EventBridge's limit for one rule. */
const MOST_TARGETS = 5
/** The periods that a rule which fires each minute can have with queues. */
export const PERIODS_S = [10, 15, 20, 30, 60] as const

/** A sweep that could not start is not repeated: the next sweep sees everything that it would have seen. */
export const NO_BACKLOG = { retryAttempts: 0, maxEventAge: MINUTE }

/**
 * The rule that fires every minute. For a shorter period it also sends a message to one queue for each
 * offset within the minute. The queue delays the message by that offset and then invokes the function, so
 * that no function waits, and no waiting is paid for.
 */
export class SweepSchedule extends Construct {
  constructor(scope: Construct, id: string, sweep: IFunction, every: Duration = MINUTE) {
    super(scope, id)
    const periodS = every.toSeconds()
    const targets: IRuleTarget[] = [new LambdaFunction(sweep, NO_BACKLOG)]
    for (let offsetS = periodS; offsetS < 60; offsetS += periodS) {
      const queue = this.addQueue(offsetS)
      targets.push(new SqsQueue(queue, NO_BACKLOG))
      sweep.addEventSource(new SqsEventSource(queue, { batchSize: 1 }))
    }
    const schedule = Schedule.rate(MINUTE)
    new Rule(this, 'EveryMinute', { schedule, targets: targets.slice(0, MOST_TARGETS) })
    if (targets.length > MOST_TARGETS) {
      new Rule(this, 'EveryMinuteToo', { schedule, targets: targets.slice(MOST_TARGETS) })
    }
  }

  private addQueue(offsetS: number): Queue {
    const queue = new Queue(this, `After${offsetS}s`, {
      deliveryDelay: Duration.seconds(offsetS),
      // A message stays hidden from its first read until it expires, so that it is never processed twice.
      visibilityTimeout: Duration.minutes(2),
      retentionPeriod: Duration.minutes(2),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
    })
    Validations.of(queue).acknowledge({
      id: 'AwsSolutions::AwsSolutions-SQS3',
      reason: 'a missed sweep is not repeated, so a dead-letter queue would have no use',
    })
    return queue
  }
}
