import { TranshipError } from '../core/model/errors.ts';
import { endHelpers } from '../machine/credentials/docker-helper.ts';
import { type Invocation, parseCommandLine } from './args/args.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { renderError } from './report/error.ts';
import { runCommand } from './run-command.ts';
import { openProcessShell, type Shell } from './shell.ts';

/** Commands that do more than print: their exit code says how that went, even if nobody could read the output. */
const actingCommands: readonly Invocation['command'][] = [
  'sync',
  'copy',
  'redrive',
  'verify',
  'serve',
  'worker',
  'init',
  'ui',
];

async function main(argv: string[], shell: Shell): Promise<ExitCode> {
  const invocation = parseCommandLine(argv, shell.env);
  const code = await runCommand(invocation, shell);
  const { stdout, stderr } = await shell.unwritten();
  const isJson = 'flags' in invocation && invocation.flags.json;
  if (stdout !== undefined)
    shell.stderr.write(`tranship: stdout could not be written, what it says is incomplete: ${stdout}\n`);
  if (stderr !== undefined && !isJson)
    shell.stdout.write(`stderr could not be written, its log is incomplete: ${stderr}\n`);
  const isLost = stdout !== undefined && !actingCommands.includes(invocation.command);
  return isLost && code === exitCodes.inStep ? exitCodes.incomplete : code;
}

const shell = openProcessShell();

function tell(error: unknown): void {
  shell.stderr.write(renderError(error, Boolean(shell.env.TRANSHIP_DEBUG)));
}

process.on('uncaughtException', (error) => {
  tell(error);
  process.exit(exitCodes.incomplete);
});

/** Not at the top level, where CommonJS has no `await`. */
async function run(): Promise<void> {
  try {
    process.exitCode = await main(process.argv.slice(2), shell);
  } catch (error) {
    tell(error);
    const isConfiguration = error instanceof TranshipError && error.class === 'configuration';
    process.exitCode = isConfiguration ? exitCodes.usage : exitCodes.incomplete;
  } finally {
    endHelpers();
  }
}

// When nothing is left to be done. Node by itself would free all memory first, for 5 ms.
process.once('beforeExit', () => process.exit());
void run();
