import { configurationError, type ErrorPlace, TranshipError } from '../model/errors.ts';

/** One thing that is wrong in a user's file. */
interface Problem {
  place: ErrorPlace;
  what: string;
  mend: string | undefined;
}

/** The text of a user's file while it is read: its name, its line starts, and what was found wrong so far. */
export interface SourceFile {
  file: string;
  lineStarts: number[];
  problems: Problem[];
}

/** A person mends the first few and runs again; more would scroll them away. */
const maxShown = 20;

export function openSource(file: string, text: string): SourceFile {
  const lineStarts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lineStarts.push(at + 1);
  return { file, lineStarts, problems: [] };
}

/** Line and column, from 1, of an offset into the text. */
export function placeOf(source: SourceFile, offset: number): Required<ErrorPlace> {
  let low = 0;
  let high = source.lineStarts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((source.lineStarts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return { file: source.file, line: low + 1, column: offset - (source.lineStarts[low] ?? 0) + 1 };
}

/** `file:line:column`, as editors and terminals make it a link. */
export function formatPlace(place: ErrorPlace): string {
  return [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
}

/** Notes a problem; reading goes on so that all of them are reported together. */
export function report(source: SourceFile, offset: number, what: string, mend?: string): void {
  source.problems.push({ place: placeOf(source, offset), what, mend });
}

/** The result of `read`, or undefined after noting the configuration error that it threw at `offset`. */
export function attempt<T>(source: SourceFile, offset: number, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TranshipError) || error.class !== 'configuration') throw error;
    report(source, offset, error.message, error.mend);
    return undefined;
  }
}

/**
 * Ends the reading of a file in which something is wrong.
 * @throws TranshipError `config-invalid`, whose message has one line `file:line:column: what — mend` for each problem, in
 *   the file's order, and whose place is the first of them
 */
export function throwProblems(source: SourceFile): void {
  const sorted = [...source.problems].sort(
    (a, b) => (a.place.line ?? 0) - (b.place.line ?? 0) || (a.place.column ?? 0) - (b.place.column ?? 0),
  );
  const [first] = sorted;
  if (first === undefined) return;
  const lines = sorted
    .slice(0, maxShown)
    .map(({ place, what, mend }) => `${formatPlace(place)}: ${what}${mend === undefined ? '' : ` — ${mend}`}`);
  if (sorted.length > maxShown) lines.push(`… and ${sorted.length - maxShown} more`);
  const message = lines.length === 1 ? lines[0] : `${sorted.length} problems in ${source.file}\n${lines.join('\n')}`;
  throw configurationError(message ?? '', { place: first.place });
}

/** Text of a user's file, shortened and quoted for a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
