import { writePath } from './schema.ts'

/** A text, with the colon that makes it a key; or a character that opens, closes or separates. */
const TOKEN = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}[\],]/g

/** An object or a list that is still open, and the current key or index in it. */
type Open = { seen: Set<string>; at: string | number }

/** The keys and indexes that lead to a value. */
export type Path = (string | number)[]

/**
 * Finds the keys that occur twice in one object. `JSON.parse` silently takes the last one, so a protection
 * that is written twice would protect only half of the sessions that it names.
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

/** Enters a nested value, leaves it, or moves on to the next item. */
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

/** The problem as a text for people. The caller puts the name of the whole before it, such as `policy`. */
export function describeRepeated(path: Path): string {
  return `${writePath(path)}: the key occurs twice in one object; expected it once, because only the last one would count`
}
