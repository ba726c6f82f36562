import { configurationError } from '../../core/model/errors.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { readSenders } from '../inputs/serve-settings.ts';
import { renderInstructions } from '../report/webhook-instructions.ts';
import type { Shell } from '../shell.ts';
import type { StackWebhooks } from '../stack.ts';

/** `tranship webhooks`: what to enter at the registries, sender by sender. */
export async function webhooks(flags: Flags, { env, stdout }: Shell): Promise<ExitCode> {
  const stack = flags.stack === undefined ? undefined : await readStack(flags.stack);
  const senders = await readSenders(flags, stack?.values ?? env);
  if (senders.size === 0) {
    throw configurationError('there are no senders of push events', {
      mend: 'Put a webhooks.yaml in this directory, or give a file with --webhooks.',
    });
  }
  stdout.write(
    [...senders.values()].map((sender) => renderInstructions(sender, stack?.baseUrl ?? flags.baseUrl ?? '')).join('\n'),
  );
  return exitCodes.inStep;
}

/** Read only when needed: the clients of AWS take a while to load. */
async function readStack(name: string): Promise<StackWebhooks> {
  const { readStackWebhooks } = await import('../stack.ts');
  return readStackWebhooks(name);
}
