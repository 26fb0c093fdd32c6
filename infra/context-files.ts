import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { describeRepeated, type Path, repeatedKeys } from '../lambda/core/repeated-keys.ts'

/** The files from which the CDK's command line takes context, in its order, and the keys that lead to it. */
const FILES: { name: string; under: string[] }[] = [
  { name: 'cdk.context.json', under: [] },
  { name: 'cdk.json', under: ['context'] },
]

/**
 * Refuses a context file with a repeated key. The CDK parses these files before the app runs, and keeps
 * only the last value of such a key. A file whose context differs from the given one is not its source,
 * and is not checked.
 * @param given the context `slotkeeper` that the app received
 * @throws Error of one line that names the file and the key
 */
export function refuseRepeatedKeys(given: unknown, folder: string): void {
  for (const { name, under } of FILES) {
    const file = join(folder, name)
    if (!existsSync(file)) continue
    const json = readFileSync(file, 'utf8')
    const way = [...under, 'slotkeeper']
    if (!isDeepStrictEqual(valueAt(parse(json), way), given)) continue
    const repeated = repeatedKeys(json).find((path) => isOnWay(path, way))
    if (repeated) throw new Error(`${name}${describeRepeated(repeated)}`)
  }
}

/** Undefined if the text is not JSON: the CDK could not read it either. */
function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function valueAt(root: unknown, way: string[]): unknown {
  return way.reduce((value, key) => (value as Record<string, unknown> | undefined)?.[key], root)
}

/** Whether the path leads to `way` or into it. */
function isOnWay(path: Path, way: string[]): boolean {
  return path.slice(0, way.length).every((key, index) => key === way[index])
}
