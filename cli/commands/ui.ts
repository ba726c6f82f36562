import { randomBytes } from 'node:crypto';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { StatusHost } from '../../machine/ui/status-host.ts';
import { openOwnHost, serveStatusPage } from '../../machine/ui/ui-server.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { copySettings, openStackOf, stateDirectoryOf } from '../hosts.ts';
import { pageDirectory, readUiInputs, readUiToken, type UiInputs } from '../inputs/ui-settings.ts';
import type { Shell } from '../shell.ts';
import { stackHost } from '../stack-host.ts';
import { version } from '../version.ts';

/** `tranship ui`: serves the status page on this machine until it is told to stop. */
export async function ui(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const { stdout, stderr } = shell;
  const emit: Emit = (event) => {
    if (event.type === 'warning') stderr.write(`warning: ${event.message}\n`);
  };
  const inputs = await readUiInputs(flags, shell.env);
  for (const message of [...warnings, ...inputs.warnings]) emit({ type: 'warning', message });
  const given = await readUiToken(flags);
  const token = given ?? randomBytes(24).toString('base64url');
  const stopped = Promise.withResolvers<void>();
  const unlisten = shell.onSignal(stopped.resolve);
  const own = await openHost(flags, inputs, emit);
  try {
    const server = await serveStatusPage({
      host: own.host,
      token,
      hostNames: flags.uiHost,
      directory: pageDirectory(),
      port: flags.port,
    });
    // After the number sign, so that it is in no request and in no log.
    const link = given === undefined ? `${server.url}/ui/#token=${token}` : `${server.url}/ui/`;
    stdout.write(`The status page of ${own.host.name}: ${link}\nIt is there until Ctrl-C.\n`);
    await stopped.promise;
    await server.close();
    return exitCodes.inStep;
  } finally {
    unlisten();
    await own.close();
  }
}

async function openHost(
  flags: Flags,
  inputs: UiInputs,
  emit: Emit,
): Promise<{ host: StatusHost; close(): Promise<void> }> {
  if (flags.stack !== undefined) {
    const stack = await openStackOf(flags, emit);
    return { host: stackHost(flags.stack, stack, inputs.rules), close: async () => {} };
  }
  return openOwnHost({
    ...inputs,
    version,
    directory: stateDirectoryOf(flags),
    copying: copySettings(flags),
    limits: { proc: flags.proc, retries: flags.retries, maxWaitMs: flags.maxWaitMs },
    emit,
  });
}
