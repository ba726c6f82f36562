import { TranshipError } from '../core/model/errors.ts';
import { parseCommandLine } from './args/args.ts';
import { renderCompletion } from './args/completion.ts';
import { renderHelp } from './args/help.ts';
import { plan } from './commands/plan.ts';
import { redrive } from './commands/redrive.ts';
import { status } from './commands/status.ts';
import { sync } from './commands/sync.ts';
import { verify } from './commands/verify.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { processShell, type Shell } from './shell.ts';
import { version } from './version.ts';

async function main(argv: string[], shell: Shell): Promise<ExitCode> {
  const invocation = parseCommandLine(argv, shell.env);
  switch (invocation.command) {
    case 'sync':
      return sync(invocation.flags, invocation.warnings, shell);
    case 'plan':
      return plan(invocation.flags, invocation.warnings, shell);
    case 'verify':
      return verify(invocation.flags, invocation.warnings, shell);
    case 'redrive':
      return redrive(invocation.flags, invocation.warnings, shell);
    case 'status':
      return status(invocation.flags, invocation.runId, shell);
    case 'serve': {
      // Read only when needed: it takes longer to start than all else.
      const { serve } = await import('./commands/serve.ts');
      return serve(invocation.flags, invocation.warnings, shell);
    }
    case 'webhooks': {
      const { webhooks } = await import('./commands/webhooks.ts');
      return webhooks(invocation.flags, shell);
    }
    case 'completion':
      shell.stdout.write(renderCompletion(invocation.shell));
      return exitCodes.inStep;
    case 'help':
      shell.stdout.write(renderHelp(invocation.topic));
      return exitCodes.inStep;
    case 'version':
      shell.stdout.write(`tranship ${version}\n`);
      return exitCodes.inStep;
  }
}

/** A reader that went away (`| head`) is no error of ours, and no reason to leave tags uncopied: the run goes on unheard. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

try {
  process.exitCode = await main(process.argv.slice(2), processShell);
} catch (error) {
  const isConfiguration = error instanceof TranshipError && error.class === 'configuration';
  const mend = error instanceof TranshipError && error.mend !== undefined ? `\n${error.mend}` : '';
  process.stderr.write(`tranship: ${error instanceof Error ? error.message : String(error)}${mend}\n`);
  process.exitCode = isConfiguration ? exitCodes.usage : exitCodes.incomplete;
}
