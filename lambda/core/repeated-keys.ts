import { writePath } from './schema.ts'

/** A text, with the colon that makes it a key; or what opens, closes or divides. */
const TOKEN = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}[\],]/g

/** An object or a list that is open, and where in it the reader stands. */
type Open = { seen: Set<string>; at: string | number }

/** The keys and indexes on the way to a value. */
export type Path = (string | number)[]

/**
 * The keys that stand twice in one object. `JSON.parse` takes the last of them and says nothing, so
 * that a protection which is written twice would protect half of whom it names.
 * @param json a text that `JSON.parse` accepts
 * @returns the path of each such key, once
 */
export function repeatedKeys(json: string): Path[] {
  const repeated = new Map<string, Path>()
  const stack: Open[] = []
  for (const [token, text, colon] of json.matchAll(TOKEN)) {
    if (text === undefined) follow(stack, token)
    else if (colon !== undefined && isSecond(stack, JSON.parse(text) as string)) {
      const path = stack.map(({ at }) => at)
      repeated.set(JSON.stringify(path), path)
    }
  }
  return [...repeated.values()]
}

/** Goes in, out, or on to the next one. */
function follow(stack: Open[], token: string): void {
  const open = stack.at(-1)
  if (token === '{') stack.push({ seen: new Set(), at: '' })
  else if (token === '[') stack.push({ seen: new Set(), at: 0 })
  else if (token !== ',') stack.pop()
  else if (typeof open?.at === 'number') open.at += 1
}

function isSecond(stack: Open[], key: string): boolean {
  const open = stack.at(-1) as Open
  open.at = key
  if (open.seen.has(key)) return true
  open.seen.add(key)
  return false
}

/** The problem for people, to be appended to the name of the whole. */
export function describeRepeated(path: Path): string {
  return `${writePath(path)}: the key stands twice in one object; expected it once, since only the last one would count`
}
