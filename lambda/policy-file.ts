import { readFileSync } from 'node:fs'
import { type Parsed, refused } from './core/parsed.ts'
import { type Policy, parsePolicyText } from './core/policy.ts'
import { messageOf } from './errors.ts'

/** Reads a policy from a JSON file. A file that can't be read is one of the problems. */
export function readPolicyFile(file: string): Parsed<Policy> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    return refused(messageOf(error))
  }
  return parsePolicyText(text)
}
