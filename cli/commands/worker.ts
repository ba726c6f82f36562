import { configurationError, type Failure, TranshipError } from '../../core/model/errors.ts';
import { formatTarget, type Target } from '../../core/model/reference.ts';
import { openCopying } from '../../machine/machine.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { copySettings } from '../hosts.ts';
import type { Shell } from '../shell.ts';
import { describeFailure, plural } from '../view/format.ts';
import { createServeLog, type ServeLog } from '../view/serve-log.ts';

/**
 * `tranship worker --stack NAME`: copies what takes longer than a function of the stack may run, until it is told to
 * stop; then it gives back what it has in hand, and exits with 0.
 */
export async function worker(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const { stack } = flags;
  if (stack === undefined) {
    throw configurationError('worker needs the name of a stack on AWS', { mend: 'Add --stack NAME.' });
  }
  const log = createServeLog(flags, shell);
  const warn = (message: string) => log({ type: 'pipeline', event: { type: 'warning', message } });
  for (const message of warnings) warn(message);
  const stop = new AbortController();
  const unlisten = shell.onSignal(() => {
    log({ type: 'notice', message: 'stopping: what is in hand goes back to its queue (once more: at once)' });
    stop.abort();
  });
  let isStarted = false;
  try {
    const { workForStack } = await import('../stack-worker.ts');
    await workForStack({
      stack,
      tasksAtOnce: flags.proc,
      openCopying: ({ credentials, allowedRealms }, ledger) =>
        openCopying(
          {
            ...copySettings(flags, { allowedRealms }),
            credentials,
            emit: (event) => log({ type: 'pipeline', event }),
            signal: stop.signal,
            workers: 1,
          },
          ledger,
        ).copy,
      log: logLines(log, warn),
      warn,
      signal: stop.signal,
      onStart() {
        isStarted = true;
        log({
          type: 'notice',
          message: `takes long tasks of the stack ${stack}, ${plural(flags.proc, 'task')} at once`,
        });
      },
    });
    return exitCodes.inStep;
  } catch (error) {
    throw isStarted ? asFailure(error) : error;
  } finally {
    unlisten();
  }
}

/** What the code of the functions logs as fields, as lines. */
function logLines(log: ServeLog, warn: (message: string) => void) {
  const text = (message: unknown, fields: unknown[]) => {
    const { source, failure } = Object.assign({}, ...fields) as { source?: Target; failure?: Failure };
    const about = source === undefined ? '' : `${formatTarget(source)}: `;
    const why = failure === undefined ? '' : `, after ${describeFailure(failure)}`;
    return `${about}${String(message)}${why}`;
  };
  return {
    info: (message: unknown, ...fields: unknown[]) => log({ type: 'notice', message: text(message, fields) }),
    warn: (message: unknown, ...fields: unknown[]) => warn(text(message, fields)),
    error: (message: unknown, ...fields: unknown[]) => warn(text(message, fields)),
  };
}

/** What ends a worker that ran is no wrong setting, whatever it says of itself. */
function asFailure(error: unknown): unknown {
  if (!(error instanceof TranshipError) || error.class !== 'configuration') return error;
  const { message, code, mend } = error;
  return new TranshipError(message, { class: 'permanent', code, mend, cause: error });
}
