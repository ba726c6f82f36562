import type { Terminal } from './view/live.ts';
import type { Output } from './view/output.ts';

/** What a command may know of the process it runs in. */
export interface Shell {
  env: Record<string, string | undefined>;
  stdout: Output & { isTTY?: boolean; columns?: number };
  stderr: Terminal & { isTTY?: boolean };
  /**
   * Calls back at the first SIGINT or SIGTERM; a second one ends the process at once. The result stops listening and
   * tells which signal came.
   */
  onSignal(callback: () => void): () => StopSignal | undefined;
}

/** The width to fold for; undefined in a pipe and on a terminal that does not know its own (0, as in `docker exec -t` without a client's). */
export function columnsOf({ isTTY, columns }: Shell['stdout']): number | undefined {
  return isTTY === true && columns !== 0 ? columns : undefined;
}

export type StopSignal = 'SIGINT' | 'SIGTERM';

const stopSignals: StopSignal[] = ['SIGINT', 'SIGTERM'];

export const processShell: Shell = {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(callback) {
    let received: StopSignal | undefined;
    const listen = (signal: StopSignal) => {
      if (received !== undefined) process.exit(signal === 'SIGINT' ? 130 : 143);
      received = signal;
      callback();
    };
    for (const signal of stopSignals) process.on(signal, listen);
    return () => {
      for (const signal of stopSignals) process.off(signal, listen);
      return received;
    };
  },
};
