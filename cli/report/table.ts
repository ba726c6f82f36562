import { pad, widthOf } from '../view/width.ts';

/** One cell: its text as shown (colours included). */
export type Row = string[];

/**
 * Columns with two blanks between them and none at the line ends. No cell is cut.
 *
 * @param right columns, counted from 0, to align to the right
 * @returns one line for each row
 */
export function layTable(rows: Row[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, widthOf(cell));
  }
  return rows.map((row) =>
    row
      .map((cell, at) => pad(cell, widths[at] ?? 0, right.includes(at) ? 'right' : 'left'))
      .join('  ')
      .trimEnd(),
  );
}

/** Whether lines fit a terminal. In a pipe (`columns` is undefined) all do. */
export function fits(lines: string[], columns: number | undefined): boolean {
  return columns === undefined || lines.every((line) => widthOf(line) <= columns);
}
