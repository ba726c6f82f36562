import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';

/** Where an annotation is shown. */
export interface AnnotationPlace {
  file: string;
  line?: number;
  column?: number;
}

/**
 * A line that the runner shows as an error at a file's line.
 * @see https://docs.github.com/actions/reference/workflow-commands-for-github-actions
 */
export function errorCommand(message: string, title: string, place: AnnotationPlace | undefined): string {
  const properties = { file: place?.file, line: place?.line, col: place?.column, title };
  const written = Object.entries(properties)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${escapeData(String(value)).replaceAll(':', '%3A').replaceAll(',', '%2C')}`);
  return `::error ${written.join(',')}::${escapeData(message)}\n`;
}

function escapeData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/**
 * Keeps the runner from taking what is printed meanwhile for commands: a registry's error text may look like one.
 * @returns the lines to print before and after
 */
export function withoutCommands(): { begin: string; end: string } {
  const token = randomUUID();
  return { begin: `::stop-commands::${token}\n`, end: `::${token}::\n` };
}

/** Sets an output of the step, where the runner gave a file for them. */
export function setOutput(file: string | undefined, name: string, value: string): void {
  if (!file) return;
  const delimiter = `end-${randomUUID()}`;
  appendFileSync(file, `${name}<<${delimiter}\n${value}\n${delimiter}\n`);
}

/**
 * Steps take outputs as environment variables, of which Linux takes 128 KiB each, with their names.
 * https://man7.org/linux/man-pages/man2/execve.2.html
 */
const MAX_OUTPUT_BYTES = 120_000;

/** As many items from the front as an output can hold as a JSON list. */
export function fitting<Item>(items: readonly Item[], most = MAX_OUTPUT_BYTES): Item[] {
  let bytes = 2;
  const end = items.findIndex((item) => {
    bytes += Buffer.byteLength(JSON.stringify(item)) + 1;
    return bytes > most;
  });
  return items.slice(0, end === -1 ? items.length : end);
}

/** Adds to the summary of the job, where the runner gave a file for it. */
export function addSummary(file: string | undefined, markdown: string): void {
  if (file) appendFileSync(file, markdown);
}
