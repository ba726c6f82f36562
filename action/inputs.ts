import { type FlagDefinition, flagsOf } from '../cli/args/flags.ts';
import { configurationError } from '../core/model/errors.ts';

/** The commands that make sense in a workflow. */
export const actionCommands = ['sync', 'plan', 'verify', 'redrive', 'copy', 'explain'] as const;

type ActionCommand = (typeof actionCommands)[number];

/** Flags that the action decides itself, or that a log of a workflow has no use for. */
const withoutInput = ['json', 'no-color', 'log'];

/** The flags that are inputs, each under its own name. */
export function inputFlags(): FlagDefinition[] {
  const names = new Map(actionCommands.flatMap(flagsOf).map((flag) => [flag.name, flag]));
  return [...names.values()].filter(({ name }) => !withoutInput.includes(name));
}

/**
 * The command line that the inputs of the action stand for.
 * @param env of the runner, which has an input `max-wait` in `INPUT_MAX-WAIT`, empty where it is not given
 * @see https://docs.github.com/actions/reference/metadata-syntax-for-github-actions#inputs
 * @throws TranshipError `config-invalid`
 */
export function readCommandLine(env: Record<string, string | undefined>): string[] {
  const input = (name: string) => (env[`INPUT_${name.toUpperCase()}`] ?? '').trim();
  const command = input('command') || 'sync';
  if (!(actionCommands as readonly string[]).includes(command)) {
    throw configurationError(`the input command is ${JSON.stringify(command)}`, {
      mend: `Write one of ${actionCommands.join(', ')}.`,
    });
  }
  const words = input('args').split(/\s+/).filter(Boolean);
  const usable = flagsOf(command as ActionCommand).map(({ name }) => name);
  // The input state has a default, but not every command remembers, and a stack does it by itself.
  const takesState = usable.includes('state') && input('stack') === '';
  const flags = inputFlags().flatMap((flag) => {
    const value = input(flag.name);
    if (value === '' || (flag.name === 'state' && !takesState)) return [];
    // A list may have a line for each item.
    const items = flag.kind === 'list' ? value.split(/\r?\n/).filter((line) => line.trim() !== '') : [value];
    return items.map((item) => `--${flag.name}=${item}`);
  });
  return [command, ...flags, '--', ...words];
}
