import { TranshipError } from '../core/errors.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import type { Flags } from './flags.ts';
import { renderInstructions } from './serve/instructions.ts';
import { readSources } from './serve/settings.ts';
import type { Shell } from './shell.ts';

/** `tranship webhooks`: what to enter at the registries, sender by sender. */
export async function webhooks(flags: Flags, { env, stdout }: Shell): Promise<ExitCode> {
  const sources = await readSources(flags, env);
  if (sources.size === 0) {
    throw new TranshipError('there are no senders of push events', {
      class: 'configuration',
      code: 'config-invalid',
      mend: 'Put a webhooks.yaml in this directory, or give a file with --webhooks.',
    });
  }
  stdout.write([...sources.values()].map((source) => renderInstructions(source, flags.baseUrl ?? '')).join('\n'));
  return exitCodes.inStep;
}
