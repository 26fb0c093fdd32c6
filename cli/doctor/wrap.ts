/**
 * Breaks a text into lines of words. A word that is longer than a line is cut.
 * @param indent before each line but the first
 */
export function wrap(text: string, width: number, indent = ''): string[] {
  const lines = ['']
  const room = Math.max(1, width - indent.length)
  // The blanks at the beginning belong to the first word.
  for (const word of text.match(/^\s+\S*|\S+\s{2,}\S*|\S+/g) ?? []) {
    const line = lines.at(-1) ?? ''
    const joined = line === '' ? word : `${line} ${word}`
    const limit = lines.length === 1 ? width : room
    if (joined.length <= limit) lines[lines.length - 1] = joined
    else lines.push(...(word.match(new RegExp(`.{1,${room}}`, 'gu')) ?? []))
  }
  const filled = lines[0] === '' ? lines.slice(1) : lines
  return filled.map((line, index) => (index === 0 ? line : indent + line))
}
