import { cpus, totalmem } from 'node:os'

/** The result of one benchmark. */
export type Table = { title: string; columns: string[]; rows: (string | number)[][] }

/** A table, and when and where it was measured. */
export type Result = Table & { date: string; machine: string }

export function dated(table: Table): Result {
  const [cpu] = cpus()
  const gibibytes = Math.round(totalmem() / 2 ** 30)
  return {
    ...table,
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} × ${cpu?.model.trim()}, ${gibibytes} GiB, Linux, Node.js ${process.versions.node}`,
  }
}

/** The table as the documents contain it. */
export function markdown({ title, columns, rows, date, machine }: Result): string {
  const line = (cells: (string | number)[]) => `| ${cells.join(' | ')} |`
  return [
    `${title} (${date}; ${machine}):`,
    '',
    line(columns),
    line(columns.map((_, column) => (column === 0 ? '---' : '---:'))),
    ...rows.map(line),
  ].join('\n')
}

/**
 * Puts a table between its marks in a document.
 * @throws Error if the document has no such marks: the table would be lost
 */
export function quote(document: string, name: string, table: string): string {
  const mark = new RegExp(`(<!-- bench ${name} -->\n)[^]*?(<!-- end -->)`)
  if (!mark.test(document)) throw new Error(`no marks "<!-- bench ${name} -->" … "<!-- end -->"`)
  return document.replace(mark, (_, head: string, tail: string) => `${head}${table}\n${tail}`)
}
