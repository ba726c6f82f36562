import type { Credentials } from '../../core/model/credentials.ts';
import { closeRegistryClient, type RegistryClient } from '../../core/registry/client.ts';
import { openRegistries } from '../../machine/registries.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodeOfSignal } from '../exit-codes.ts';
import { copySettings, lookSettings } from '../hosts.ts';
import type { Shell } from '../shell.ts';
import { formatJsonLine } from '../view/json.ts';

/** Registries to ask, until a signal comes. */
export interface Asking {
  client: RegistryClient;
  signal: AbortSignal;
  warn: (message: string) => unknown;
}

/** Runs a command that asks registries and remembers nothing. A signal ends it. */
export async function askRegistries(
  flags: Flags,
  shell: Shell,
  credentials: Credentials,
  ask: (asking: Asking) => Promise<ExitCode>,
): Promise<ExitCode> {
  const { stdout, stderr } = shell;
  const warn = (message: string) =>
    flags.json
      ? stdout.write(formatJsonLine({ type: 'warning', at: new Date().toISOString(), message }))
      : stderr.write(`warning: ${message}\n`);
  const stop = new AbortController();
  const stopped = shell.onSignal(() => stop.abort());
  const client = openRegistries({
    ...copySettings(flags),
    ...lookSettings,
    credentials,
    warn,
    warnOfFiles: warn,
  });
  try {
    return await ask({ client, signal: stop.signal, warn });
  } catch (error) {
    const signal = stopped();
    if (signal === undefined) throw error;
    stderr.write('Stopped before the end.\n');
    return exitCodeOfSignal(signal);
  } finally {
    stopped();
    await closeRegistryClient(client);
  }
}
