import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { keepOutput, linesOf } from '../../../../cli/drill/output.ts'

async function kept(chunks: (string | Buffer)[], secrets: string[] = []) {
  const shown: string[] = []
  const output = keepOutput((line) => shown.push(line), secrets)
  const stream = new PassThrough()
  output.take(stream)
  for (const chunk of chunks) stream.write(chunk)
  stream.end()
  await once(stream, 'end')
  return { output, shown }
}

test('joins chunks to lines, and keeps a last line without its end', async () => {
  const accent = Buffer.from('é')
  const { shown } = await kept([
    'a',
    'b\nc\r\n',
    accent.subarray(0, 1),
    accent.subarray(1),
    '\n\nend',
  ])
  expect(shown).toEqual(['ab', 'c', 'é', '', 'end'])
})

test('keeps the beginning and the end of a stretch, and counts the rest', async () => {
  const lines = Array.from({ length: 100 }, (_, index) => `line ${index}`)
  const { output, shown } = await kept([lines.join('\n')])
  expect(shown).toEqual(lines)
  expect(linesOf(output.sinceMark())).toEqual([
    ...lines.slice(0, 10),
    '… 85 more lines …',
    ...lines.slice(95),
  ])
  expect(output.last()).toEqual(lines.slice(90))
  output.mark()
  expect(linesOf(output.sinceMark())).toEqual([])
  expect(output.last()).toEqual(lines.slice(90))
})

test('a line without an end fills no memory', async () => {
  const { output, shown } = await kept(Array<string>(100).fill('x'.repeat(10_000)))
  expect(shown.join('')).toBe('x'.repeat(1_000_000))
  expect(Math.max(...shown.map(({ length }) => length))).toBe(2_000)
  expect(linesOf(output.sinceMark()).join('').length).toBeLessThan(40_000)
})

test('replaces every secret', async () => {
  const { output, shown } = await kept(['pass hush-hush, hush%20\n'], ['hush-hush', 'hush%20'])
  expect(shown).toEqual(['pass ***, ***'])
  expect(output.last()).toEqual(shown)
  expect(output.redact('hush-hush')).toBe('***')
})
