import type { Invocation } from './args/args.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import type { Shell } from './shell.ts';
import { version } from './version.ts';

/**
 * Each command is loaded only when it is called: `tranship --version` must not wait for registry clients and parsers.
 */
export async function runCommand(invocation: Invocation, shell: Shell): Promise<ExitCode> {
  switch (invocation.command) {
    case 'sync': {
      const { sync } = await import('./commands/sync.ts');
      return sync(invocation.flags, invocation.warnings, shell);
    }
    case 'plan': {
      const { plan } = await import('./commands/plan.ts');
      return plan(invocation.flags, invocation.warnings, shell);
    }
    case 'verify': {
      const { verify } = await import('./commands/verify.ts');
      return verify(invocation.flags, invocation.warnings, shell);
    }
    case 'redrive': {
      const { redrive } = await import('./commands/redrive.ts');
      return redrive(invocation.flags, invocation.warnings, shell);
    }
    case 'status': {
      const { status } = await import('./commands/status.ts');
      return status(invocation.flags, invocation.words[0], shell);
    }
    case 'serve': {
      const { serve } = await import('./commands/serve.ts');
      return serve(invocation.flags, invocation.warnings, shell);
    }
    case 'ui': {
      const { ui } = await import('./commands/ui.ts');
      return ui(invocation.flags, invocation.warnings, shell);
    }
    case 'worker': {
      const { worker } = await import('./commands/worker.ts');
      return worker(invocation.flags, invocation.warnings, shell);
    }
    case 'webhooks': {
      const { webhooks } = await import('./commands/webhooks.ts');
      return webhooks(invocation.flags, shell);
    }
    case 'explain': {
      const { explain } = await import('./commands/explain.ts');
      return explain(invocation.flags, invocation.words, invocation.warnings, shell);
    }
    case 'init': {
      const { init } = await import('./commands/init.ts');
      return init(invocation.flags, shell);
    }
    case 'copy': {
      const { copy } = await import('./commands/copy.ts');
      return copy(invocation.flags, invocation.words, invocation.warnings, shell);
    }
    case 'tags': {
      const { tags } = await import('./commands/tags.ts');
      return tags(invocation.flags, invocation.words, invocation.warnings, shell);
    }
    case 'completion': {
      const { renderCompletion } = await import('./args/completion.ts');
      shell.stdout.write(renderCompletion(invocation.shell));
      return exitCodes.inStep;
    }
    case 'help': {
      const { renderHelp } = await import('./args/help.ts');
      shell.stdout.write(renderHelp(invocation.topic));
      return exitCodes.inStep;
    }
    case 'version':
      shell.stdout.write(`tranship ${version}\n`);
      return exitCodes.inStep;
  }
}
