// Plays the rehearsal and draws what it printed as docs/rehearsal.svg: `npm run picture`.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'

const FILE = fileURLToPath(new URL('rehearsal.svg', import.meta.url))
const CHARACTER_PX = 7.8
const LINE_PX = 17
const MARGIN_PX = 16
const CODE = new RegExp(`${String.fromCharCode(27)}\\[(\\d+)m`)
const COLOURS: Record<string, string> = {
  '1': 'font-weight:bold',
  '2': 'fill:#8b949e',
  '31': 'fill:#ff7b72',
  '32': 'fill:#56d364',
  '33': 'fill:#e3b341',
  '36': 'fill:#76e3ea',
}

const printed = execFileSync(process.execPath, ['dist/cli.mjs', 'rehearse'], {
  env: { ...process.env, FORCE_COLOR: '1' },
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
})
const lines = printed.trimEnd().split('\n')
const columns = Math.max(...lines.map((line) => stripVTControlCharacters(line).length))
const width = Math.ceil(columns * CHARACTER_PX + 2 * MARGIN_PX)
const height = lines.length * LINE_PX + 2 * MARGIN_PX

writeFileSync(
  FILE,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>The rehearsal: slots fill up until a connection is refused, then a sweep frees them</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="13" fill="#e6edf3">
${lines.map(drawLine).join('\n')}
</g>
</svg>
`,
)

function drawLine(line: string, row: number): string {
  const y = MARGIN_PX + (row + 0.75) * LINE_PX
  // Where one style ends and the next begins is told by the terminal's own codes.
  const styles = new Set<string>()
  let column = 0
  const spans: string[] = []
  for (const [index, part] of line.split(CODE).entries()) {
    // Splitting by a group puts the codes between the texts.
    const code = index % 2 === 1 ? part : undefined
    if (code === undefined) {
      if (part.trim()) spans.push(drawSpan(part, column, y, styles))
      column += part.length
    } else if (code in COLOURS) {
      styles.add(code)
    } else {
      styles.clear()
    }
  }
  return spans.join('')
}

function drawSpan(text: string, column: number, y: number, styles: Set<string>): string {
  const style = [...styles].map((code) => COLOURS[code]).join(';')
  const x = MARGIN_PX + column * CHARACTER_PX
  const attributes = `x="${x.toFixed(1)}" y="${y.toFixed(1)}" textLength="${(text.length * CHARACTER_PX).toFixed(1)}"`
  return `<text ${attributes}${style ? ` style="${style}"` : ''}>${escapeXml(text)}</text>`
}

/** Chromium collapses ordinary spaces in SVG, even with `xml:space`. So the spaces do not break. */
function escapeXml(text: string): string {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return escaped.replaceAll(' ', '\u00a0')
}
