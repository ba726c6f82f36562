import { createJsonView } from './json.ts';
import type { Terminal } from './live.ts';
import type { Output, View } from './output.ts';
import { createPlainView } from './plain.ts';
import { clean } from './text.ts';

export type ViewMode = 'live' | 'plain' | 'json' | 'quiet';

export interface ViewOptions {
  mode: ViewMode;
  stdout: Output;
  stderr: Terminal;
  /** The file of `--log`, which gets log lines in every mode. */
  log?: Output;
  color: boolean;
  verbose: boolean;
  now?: () => number;
}

/**
 * How to show a run: JSON if asked for, the live view on a terminal, else plain lines. With `--log` these go to the
 * file alone, as in image-syncer.
 */
export function chooseMode(source: {
  flags: { json: boolean; quiet: boolean; log: string | undefined };
  env: Record<string, string | undefined>;
  isTTY: boolean;
}): ViewMode {
  const { flags, env, isTTY } = source;
  if (flags.json) return 'json';
  if (flags.quiet) return 'quiet';
  // Some CI services give their steps a terminal and keep its output as a log.
  if (isTTY && env.TERM !== 'dumb' && !isCi(env.CI)) return 'live';
  return flags.log === undefined ? 'plain' : 'quiet';
}

/** CI services set CI to `true` or to `1`. */
function isCi(value: string | undefined): boolean {
  return value !== undefined && !/^(|0|false)$/i.test(value);
}

/** The view of a mode, with the log file's lines beside it where there is one. */
export async function createView(options: ViewOptions): Promise<View> {
  const shown = await createShown(options);
  if (options.log === undefined) return shown;
  const { log, verbose, now = Date.now } = options;
  const logged = createPlainView({ output: log, color: false, verbose, now });
  return {
    emit(event) {
      logged.emit(event);
      shown.emit(event);
    },
    close(run) {
      logged.close();
      shown.close(run);
    },
  };
}

async function createShown({ mode, stdout, stderr, color, verbose, now = Date.now }: ViewOptions): Promise<View> {
  switch (mode) {
    case 'live': {
      // What it measures text with takes long to load.
      const { createLiveView } = await import('./live.ts');
      return createLiveView({ terminal: stderr, color, verbose, now });
    }
    case 'plain':
      return createPlainView({ output: stderr, color, verbose, now });
    case 'json':
      return createJsonView({ output: stdout, now });
    case 'quiet':
      // The report has the failures; warnings are nowhere else.
      return {
        emit(event) {
          if (event.type === 'warning') stderr.write(`warning: ${clean(event.message)}\n`);
        },
        close() {},
      };
  }
}
