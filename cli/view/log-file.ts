import { appendFileSync, closeSync, openSync } from 'node:fs';
import type { Output } from './output.ts';

export interface LogFile extends Output {
  close(): void;
}

/**
 * Opens a log file to add lines to. A disk that is full costs lines, not the run, and what comes when there is space
 * again is written.
 *
 * @param failed called with the first error of writing
 * @throws the system's error where the file cannot be opened
 */
export function openLogFile(path: string, failed: (message: string) => void): LogFile {
  const file = openSync(path, 'a');
  let hasFailed = false;
  return {
    write(text) {
      try {
        appendFileSync(file, text);
      } catch (error) {
        if (hasFailed) return;
        hasFailed = true;
        failed(error instanceof Error ? error.message : String(error));
      }
    },
    close: () => closeSync(file),
  };
}
