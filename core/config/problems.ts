import { configurationError, type ErrorPlace, TranshipError } from '../model/errors.ts';

/** One thing that is wrong in a user's file. */
interface Problem {
  place: ErrorPlace;
  what: string;
  mend: string | undefined;
}

/** A user's file while it is read: its name, its text, and what was found wrong so far. */
export interface UserFile {
  /** As messages call it. */
  name: string;
  /** Filled by the parser. */
  text: string;
  /** Where its lines begin, once somebody has asked for the place of something. */
  lines?: number[];
  problems: Problem[];
  /** What can be used but is probably not meant so, each with its place. */
  warnings: string[];
}

/** A person mends the first few and runs again; more would scroll them away. */
const maxShown = 20;

/** A file that is to be parsed. */
export function openFile(name: string): UserFile {
  return { name, text: '', problems: [], warnings: [] };
}

/** Line and column, from 1, of an offset into the text. */
export function placeOf(file: UserFile, offset: number): Required<ErrorPlace> {
  file.lines ??= [0, ...Array.from(file.text.matchAll(/\n/g), ({ index }) => index + 1)];
  const { lines } = file;
  let [least, most] = [0, lines.length - 1];
  while (least < most) {
    const middle = Math.ceil((least + most) / 2);
    if ((lines[middle] ?? 0) <= offset) least = middle;
    else most = middle - 1;
  }
  return { file: file.name, line: least + 1, column: offset - (lines[least] ?? 0) + 1 };
}

/** `file:line:column`, as editors and terminals make it a link. */
function formatPlace(place: ErrorPlace): string {
  return [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
}

/** Notes a problem; reading goes on so that all of them are reported together. */
export function report(file: UserFile, offset: number, what: string, mend?: string): void {
  file.problems.push({ place: placeOf(file, offset), what, mend });
}

/** Notes something that works but is probably not meant so. */
export function warn(file: UserFile, offset: number, what: string): void {
  file.warnings.push(`${formatPlace(placeOf(file, offset))}: ${what}`);
}

/** The result of `read`, or undefined after noting the configuration error that it threw at `offset`. */
export function attempt<T>(file: UserFile, offset: number, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TranshipError) || error.class !== 'configuration') throw error;
    report(file, offset, error.message, error.mend);
    return undefined;
  }
}

/**
 * Ends the reading of a file in which something is wrong.
 * @throws TranshipError `config-invalid`, whose message has one line `file:line:column: what — mend` for each problem,
 *   in the file's order, and whose place is the first of them
 */
export function throwProblems(file: UserFile): void {
  const sorted = [...file.problems].sort(
    (a, b) => (a.place.line ?? 0) - (b.place.line ?? 0) || (a.place.column ?? 0) - (b.place.column ?? 0),
  );
  const [first] = sorted;
  if (first === undefined) return;
  const lines = sorted
    .slice(0, maxShown)
    .map(({ place, what, mend }) => `${formatPlace(place)}: ${what}${mend === undefined ? '' : ` — ${mend}`}`);
  if (sorted.length > maxShown) lines.push(`… and ${sorted.length - maxShown} more`);
  const message = lines.length === 1 ? lines[0] : `${sorted.length} problems in ${file.name}\n${lines.join('\n')}`;
  throw configurationError(message ?? '', { place: first.place });
}
