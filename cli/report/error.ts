import { TranshipError } from '../../core/model/errors.ts';
import { cleanLines } from '../view/text.ts';

/**
 * What ended the command, for a person: the message, and what to do about it. Never a stack trace, unless `debug` asks
 * for it. Ends in a line end.
 */
export function renderError(error: unknown, debug: boolean): string {
  if (debug && error instanceof Error && error.stack !== undefined) return `tranship: ${error.stack}\n`;
  const message = cleanLines(error instanceof Error ? error.message : String(error));
  const mend = mendOf(error);
  return `tranship: ${message}${mend === undefined ? '' : `\n${cleanLines(mend)}`}\n`;
}

function mendOf(error: unknown): string | undefined {
  if (error instanceof TranshipError) return error.mend;
  // Errors of the system say what is wrong by themselves.
  if (error instanceof Error && 'syscall' in error) return undefined;
  return 'This is a defect of tranship. TRANSHIP_DEBUG=1 shows where it happened.';
}
