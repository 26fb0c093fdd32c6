import { cpus, totalmem } from 'node:os'
import { type Reference, referenceLine } from './noise.ts'

type Cells = { title: string; columns: string[]; rows: (string | number)[][] }

/** The result of one benchmark. */
export type Table = Cells & {
  /** The bare statement in this table: ms for each session that it ended. */
  floorsMs?: number[]
  /** Why the table must not be published, whatever the machine. */
  flaw?: string
}

/**
 * A table, when and where it was measured, and the speed of the machine before and after it. Only the tables
 * from before the bench took a reference have none.
 */
export type Result = Cells & {
  date: string
  machine: string
  reference?: { before: Reference; after: Reference }
}

export function dated(
  { title, columns, rows }: Table,
  reference: { before: Reference; after: Reference },
): Result {
  const [cpu] = cpus()
  const gibibytes = Math.round(totalmem() / 2 ** 30)
  return {
    title,
    columns,
    rows,
    reference,
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} × ${cpu?.model.trim()}, ${gibibytes} GiB, Linux, Node.js ${process.versions.node}`,
  }
}

/** The table as the documents contain it. */
export function markdown({ title, columns, rows, date, machine, reference }: Result): string {
  const line = (cells: (string | number)[]) => `| ${cells.join(' | ')} |`
  return [
    `${title} (${date}; ${machine}):`,
    '',
    line(columns),
    line(columns.map((_, column) => (column === 0 ? '---' : '---:'))),
    ...rows.map(line),
    ...(reference ? ['', referenceLine(reference.before, reference.after)] : []),
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
