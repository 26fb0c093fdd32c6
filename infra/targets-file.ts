import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describeRepeated, repeatedKeys } from '../lambda/core/repeated-keys.ts'
import { printable } from '../lambda/core/text.ts'

/** The context with the targets of its file, and the name of the file as the context has it. */
export type WithTargets = { context: unknown; file?: string }

/**
 * Puts the targets of `targetsFile` in the place of `targets`. A context without the key stays as it is.
 * @param folder that of `cdk.json`
 * @throws Error of one line that names the file
 */
export function readTargetsFile(context: unknown, folder: string): WithTargets {
  const { targetsFile: file, targets } = (context ?? {}) as Record<string, unknown>
  // The context's own schema refuses everything else.
  if (typeof file !== 'string' || file === '') return { context }
  if (targets !== undefined) {
    throw new Error('context slotkeeper: expected either targets or targetsFile, found both')
  }
  const json = textOf(file, folder)
  const repeated = repeatedKeys(json)[0]
  if (repeated) throw new Error(`${file}${describeRepeated(repeated)}`)
  return { context: { ...(context as object), targets: parse(file, json) }, file }
}

function textOf(file: string, folder: string): string {
  try {
    // Editors on Windows begin a file with a byte order mark.
    return readFileSync(resolve(folder, file), 'utf8').replace(/^\uFEFF/, '')
  } catch (error) {
    throw new Error(`context slotkeeper.targetsFile: ${(error as Error).message}`)
  }
}

function parse(file: string, json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    throw new Error(
      `${file}: expected a JSON list of targets: ${printable((error as Error).message)}`,
    )
  }
}
