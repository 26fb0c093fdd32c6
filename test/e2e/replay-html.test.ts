import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { writeFrame } from '../../lambda/core/recording.ts'
import { runBuilt } from '../support/built.ts'
import { frames } from '../support/frames.ts'

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-html-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const lines = frames(60, 3_600, [{ pid: 2, opens: 0, uses: [700] }]).flatMap(writeFrame)
const hour = file('hour.jsonl', `${lines.join('\n')}\n`)
const hasty = file(
  'hasty.json',
  JSON.stringify({ rules: [{ name: 'stale', state: 'idle', olderThan: '10m' }] }),
)

describe('--html', () => {
  const run = (out: string, ...args: string[]) => runBuilt(['replay', hour, '--html', out, ...args])

  test('prints the report as well, and replaces an older page', async () => {
    const out = join(folder, 'twice.html')
    const first = await run(out)
    expect(first.code).toBe(0)
    expect(first.out).toContain('What each pool needs')
    const before = readFileSync(out, 'utf8')
    expect(await run(out, '--policy', hasty)).toMatchObject({ code: 0 })
    expect(readFileSync(out, 'utf8')).not.toBe(before)
    expect(await run(out)).toMatchObject({ code: 0 })
    expect(readFileSync(out, 'utf8')).toBe(before)
  })

  test('writes the page also where --max-regret is exceeded', async () => {
    const out = join(folder, 'regret.html')
    const strict = ['--policy', hasty, '--max-regret', '0']
    expect(await run(out, ...strict)).toMatchObject({ code: 1 })
    expect(readFileSync(out, 'utf8')).toContain('"regretted":1')
  })

  test('- is standard output, which then has the page alone', async () => {
    const { code, out, err } = await run('-')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^<!doctype html>\n[\s\S]*<\/html>\n$/)
  })

  test.each([
    ['a recording', hour],
    ['a policy', hasty],
  ])('leaves %s as it is', async (_, precious) => {
    const before = readFileSync(precious, 'utf8')
    const { code, out, err } = await run(precious)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain('the file exists and is no page of a replay, so it is left as it is')
    expect(readFileSync(precious, 'utf8')).toBe(before)
  })

  test('writes into a device, and does not replace it', async () => {
    expect(await run('/dev/null')).toMatchObject({ code: 0 })
    expect(readFileSync('/dev/null', 'utf8')).toBe('')
  })

  test.each<[string, string[], string]>([
    [folder, [], 'it is a directory; expected the name of a file'],
    [join(folder, 'none', 'a.html'), [], 'ENOENT'],
    [join(hour, 'a.html'), [], 'ENOTDIR'],
    ['-', ['--json'], '--html - and --json are both for standard output'],
    [join(folder, 'a.html'), ['--suggest'], "cannot be used with option '--html"],
  ])('%s %j is wrong usage', async (out, args, message) => {
    const { code, err } = await run(out, ...args)
    expect(err).toContain(message)
    expect(code).toBe(2)
  })

  test('a replay that fails leaves the older page as it was, and nothing beside it', async () => {
    const own = join(folder, 'own')
    mkdirSync(own)
    const page = join(own, 'page.html')
    await run(page)
    const before = readFileSync(page, 'utf8')
    expect(await runBuilt(['replay', hasty, '--html', page])).toMatchObject({ code: 2 })
    expect(readFileSync(page, 'utf8')).toBe(before)
    expect(readdirSync(own)).toEqual(['page.html'])
  })

  test('a link stays a link, to the new page', async () => {
    const [page, link] = [join(folder, 'linked.html'), join(folder, 'link.html')]
    writeFileSync(page, '')
    symlinkSync(page, link)
    expect(await run(link)).toMatchObject({ code: 0 })
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect(readFileSync(page, 'utf8')).toContain('<!doctype html>')
  })
})
