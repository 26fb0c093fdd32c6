import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { describeRepeated, type Path, repeatedKeys } from '../lambda/core/repeated-keys.ts'

/** Where the CDK's command line takes context from, in its order, and under which key. */
const FILES: { name: string; under: string[] }[] = [
  { name: 'cdk.context.json', under: [] },
  { name: 'cdk.json', under: ['context'] },
]

/**
 * The CDK has parsed these files before the app runs, and of a key that stands twice kept the last. A
 * file that holds another context than the one given is not its source, and is left alone.
 * @param given the context `slotkeeper`, as the app got it
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

/** Undefined for what the CDK could not have read either. */
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

/** Whether the path leads to `way`, or to what is in it. */
function isOnWay(path: Path, way: string[]): boolean {
  return path.slice(0, way.length).every((key, index) => key === way[index])
}
