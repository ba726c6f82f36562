import { isatty } from 'node:tty';
import { exitCodeOfSignal, type StopSignal } from './exit-codes.ts';
import { gatherWrites } from './view/gather.ts';
import type { Terminal } from './view/live.ts';
import type { Output } from './view/output.ts';
import { inAscii, speaksUtf8 } from './view/text.ts';

/** What a command may know of the process it runs in. Writing never throws and never ends the process. */
export interface Shell {
  env: Record<string, string | undefined>;
  stdout: Output & { isTTY?: boolean; columns?: number };
  stderr: Terminal & { isTTY?: boolean };
  /**
   * Calls back at the first of the signals. A second SIGINT or SIGTERM ends the process at once. The result stops
   * listening and returns the signal that came.
   */
  onSignal(callback: () => void, signals?: readonly StopSignal[]): () => StopSignal | undefined;
  /** Why something could not be written, by stream. A reader that went away (`| head`) does not count. */
  unwritten(): Promise<{ stdout?: string; stderr?: string }>;
  /**
   * Asks the user, where there is a terminal to ask at. Undefined where the input ends (Ctrl-D).
   */
  ask?(question: string): Promise<string | undefined>;
  /** Calls back at each SIGHUP, which would end the process otherwise. The result stops listening. */
  onHangup(callback: () => void): () => void;
}

/**
 * The width of the terminal. Undefined in a pipe, and where the terminal says 0, as under `docker exec -t` without a
 * client.
 */
export function columnsOf({ isTTY, columns }: Shell['stdout']): number | undefined {
  return isTTY === true && columns !== 0 ? columns : undefined;
}

const allSignals: readonly StopSignal[] = ['SIGHUP', 'SIGINT', 'SIGTERM'];

/** The shell of this process. Call it once. */
export function openProcessShell(): Shell {
  const { env, stdout, stderr } = process;
  // Without opening it, which loads streams that most commands do not read.
  const asksAtTerminal = isatty(0);
  // nohup has SIGHUP ignored, and Node undoes that when it starts (PlatformInit in node's src/node.cc). What is left of
  // nohup is that no stream is a terminal: then no terminal can hang up either.
  const hasTerminal = asksAtTerminal || stdout.isTTY === true || stderr.isTTY === true;
  const unwritten: { stdout?: string; stderr?: string } = {};
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') unwritten[name] ??= error.message;
    });
  }
  const errors = terminalOf(stderr, env, () => lines.flush());
  const lines = gatherWrites(errors.write);
  // Also where a second signal ends the process.
  process.on('exit', lines.flush);
  return {
    env,
    // Both may be the same file.
    stdout: terminalOf(stdout, env, lines.flush),
    stderr: Object.assign(errors, { writeSoon: lines.write }),
    async unwritten() {
      lines.flush();
      // Streams report a failed write after the call has returned.
      await new Promise((resolve) => setImmediate(resolve));
      return unwritten;
    },
    onSignal(callback, signals = allSignals) {
      let received: StopSignal | undefined;
      const listen = (signal: StopSignal) => {
        if (signal === 'SIGHUP' && (received !== undefined || !hasTerminal)) return;
        if (received !== undefined) process.exit(exitCodeOfSignal(signal));
        received = signal;
        callback();
      };
      for (const signal of signals) process.on(signal, listen);
      return () => {
        for (const signal of signals) process.off(signal, listen);
        return received;
      };
    },
    ask: asksAtTerminal && stderr.isTTY === true ? askAtTerminal : undefined,
    onHangup(callback) {
      process.on('SIGHUP', callback);
      return () => process.off('SIGHUP', callback);
    },
  };
}

let typedLines: AsyncIterator<string> | undefined;

/** Lines are edited by the terminal itself, so that Ctrl-C stays a signal. Between questions stdin holds no process up. */
async function askAtTerminal(question: string): Promise<string | undefined> {
  process.stderr.write(question);
  const { createInterface } = process.getBuiltinModule('node:readline');
  typedLines ??= createInterface({ input: process.stdin, terminal: false })[Symbol.asyncIterator]();
  process.stdin.resume();
  const { value, done } = await typedLines.next();
  process.stdin.pause();
  return done ? undefined : value;
}

/**
 * A stream as views use it. A terminal without UTF-8 gets only ASCII.
 * @param beforeWrite writes what has to come first
 */
function terminalOf(
  stream: NodeJS.WriteStream,
  env: Shell['env'],
  beforeWrite: () => void,
): Terminal & { isTTY: boolean } {
  const isTTY = stream.isTTY === true;
  const needsAscii = isTTY && !speaksUtf8(env);
  return {
    isTTY,
    write(text) {
      beforeWrite();
      return stream.write(needsAscii ? inAscii(text) : text);
    },
    on: (event, listener) => stream.on(event, listener),
    off: (event, listener) => stream.off(event, listener),
    get writableNeedDrain() {
      return stream.writableNeedDrain;
    },
    get columns() {
      return stream.columns;
    },
    get rows() {
      return stream.rows;
    },
  };
}
