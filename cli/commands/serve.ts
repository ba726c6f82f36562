import { configurationError, TranshipError } from '../../core/model/errors.ts';
import { type Server, type ServerSettings, startServer } from '../../machine/serve/server.ts';
import { type Flags, readAddress } from '../args/flags.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { copySettings, stateDirectoryOf } from '../hosts.ts';
import { readSettings, type ServeSettings } from '../inputs/serve-settings.ts';
import { pageDirectory, readUiToken } from '../inputs/ui-settings.ts';
import type { Shell } from '../shell.ts';
import { version } from '../version.ts';
import { plural } from '../view/format.ts';
import { createServeLog } from '../view/serve-log.ts';

/**
 * `tranship serve`: takes push events, runs schedules and gives second chances until it is told to stop; then it takes
 * no more, ends or puts back what is in hand, and exits with 0. At SIGHUP it reads its files again.
 */
export async function serve(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  if (flags.check) {
    await readPage(flags);
    return check(await readSettings(flags, shell.env), warnings, shell);
  }
  const hangups = createHangups();
  const unlisten = shell.onHangup(hangups.ask);
  try {
    return await run(flags, warnings, shell, hangups.use);
  } finally {
    unlisten();
  }
}

/**
 * Requests to read the files again. One that comes while they are read for the first time is carried out after that.
 */
function createHangups() {
  let reload: (() => Promise<void>) | undefined;
  let isAsked = false;
  function ask(): void {
    isAsked = true;
    // What is wrong is in the log.
    void reload?.().catch(() => {});
  }
  return {
    ask,
    use(server: Server): void {
      reload = server.reload;
      if (isAsked) ask();
    },
  };
}

async function run(
  flags: Flags,
  warnings: string[],
  shell: Shell,
  started: (server: Server) => void,
): Promise<ExitCode> {
  const config = await readSettings(flags, shell.env);
  const page = await readPage(flags);
  const log = createServeLog(flags, shell);
  const warn = (messages: readonly string[]) => {
    for (const message of messages) log({ type: 'pipeline', event: { type: 'warning', message } });
  };
  warn([...warnings, ...config.warnings]);
  let isStarted = false;
  const server = startServer(
    {
      version,
      directory: stateDirectoryOf(flags),
      copying: copySettings(flags),
      limits: { proc: flags.proc, retries: flags.retries, maxWaitMs: flags.maxWaitMs },
      listen: readAddress(flags.listen),
      adminListen: flags.adminListen === undefined ? undefined : readAddress(flags.adminListen),
      page,
      gatherMs: flags.debounceMs,
      maxQueue: flags.maxQueue,
      redriveAfterMs: flags.redriveAfterMs,
      syncAtStart: flags.syncAtStart,
      config,
      async readConfig() {
        const next = await readSettings(flags, shell.env, config);
        warn(next.warnings);
        return next;
      },
    },
    (event) => {
      if (event.type === 'listening') isStarted = true;
      log(event);
    },
  );
  started(server);
  const unlisten = shell.onSignal(server.stop);
  try {
    await server.ended;
    return exitCodes.inStep;
  } catch (error) {
    throw isStarted ? asFailure(error) : error;
  } finally {
    unlisten();
  }
}

/** The status page, where there is a token for it. @throws TranshipError `configuration` */
async function readPage(flags: Flags): Promise<ServerSettings['page']> {
  const token = await readUiToken(flags);
  if (token === undefined) return undefined;
  if (flags.adminListen === undefined) {
    throw configurationError('the status page has no address', {
      mend: 'Give one with --admin-listen: it must not be where push events are taken.',
    });
  }
  return { token, hostNames: flags.uiHost, directory: pageDirectory() };
}

function check({ rules, senders, scheduled, warnings }: ServeSettings, more: string[], shell: Shell): ExitCode {
  for (const message of [...more, ...warnings]) shell.stderr.write(`warning: ${message}\n`);
  const counts = [plural(rules.length, 'rule'), plural(senders.size, 'sender'), plural(scheduled.length, 'schedule')];
  shell.stdout.write(`The files can be used: ${counts.join(', ')}.\n`);
  return exitCodes.inStep;
}

/** What ends a server that ran is no wrong setting, whatever it says of itself: it is worth another start. */
function asFailure(error: unknown): unknown {
  if (!(error instanceof TranshipError) || error.class !== 'configuration') return error;
  const { message, code, mend } = error;
  return new TranshipError(message, { class: 'permanent', code, mend, cause: error });
}
