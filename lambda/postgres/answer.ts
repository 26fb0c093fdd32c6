import * as v from 'valibot'
import { describe } from '../core/schema.ts'
import { SlotkeeperError } from '../errors.ts'

/**
 * Checks that a server's answer has the form that the statement produces, so that nothing is decided on a
 * wrong answer.
 * @throws SlotkeeperError of kind `query`
 */
export function readAnswer<T extends v.GenericSchema>(
  schema: T,
  answer: unknown,
): v.InferOutput<T> {
  const result = v.safeParse(schema, answer, { abortEarly: true })
  if (result.success) return result.output
  const [issue] = result.issues
  const problem = describe('answer', { ...issue, message: 'not of that form' })
  throw new SlotkeeperError(
    'query',
    `the server answered in a form that is not PostgreSQL's: ${problem}. Check host and port, and anything in between.`,
  )
}
