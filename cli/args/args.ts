import { parseArgs } from 'node:util';
import { closest, distance } from 'fastest-levenshtein';
import { parseDuration } from '../../core/config/duration.ts';
import { configurationError, type TranshipError } from '../../core/model/errors.ts';
import { shorten } from '../../core/model/shorten.ts';
import { expandHome } from '../../machine/home.ts';
import {
  type Command,
  commands,
  type FlagDefinition,
  type FlagId,
  type Flags,
  flagsOf,
  flagTable,
  type Shell,
  shells,
  type WorkCommand,
  wordsOf,
} from './flags.ts';

/** What the user asked for. */
export type Invocation =
  | { command: WorkCommand; flags: Flags; warnings: string[]; words: string[] }
  | { command: 'completion'; shell: Shell }
  | { command: 'help'; topic?: Command }
  | { command: 'version' };

type Token = NonNullable<ReturnType<typeof tokenise>>[number];
type OptionToken = Extract<Token, { kind: 'option' }>;
type ByFlag = Map<FlagId, string[]>;

const idByName = new Map<string, FlagId>(
  Object.entries(flagTable).map(([id, flag]) => [flag.name as string, id as FlagId]),
);

/**
 * Reads a command line. The subcommand may stand anywhere among the flags and may be missing: image-syncer had none.
 *
 * @param argv the arguments after the program's name
 * @param env for the flags that a variable can stand in for
 * @throws TranshipError `configuration` that names the argument and, where there is one, the nearest right one
 */
export function parseCommandLine(argv: string[], env: Record<string, string | undefined> = {}): Invocation {
  const tokens = tokenise(argv);
  const words = tokens.flatMap((token) => (token.kind === 'positional' ? [token.value] : []));
  const options = tokens.filter((token) => token.kind === 'option');

  const asks = (name: 'help' | 'version') => options.some((token) => token.name === name && isWhole(token, options));
  const [first, ...rest] = words;
  if (asks('help'))
    return first !== undefined && isCommand(first) ? { command: 'help', topic: first } : { command: 'help' };
  // Flags are checked before words: the value of a mistyped flag looks like a word.
  const command: Command = first !== undefined && isCommand(first) ? first : 'sync';
  const given = collect(argv, options, command);
  if (first !== undefined && !isCommand(first)) throw unknownCommand(first);
  if (command === 'version' || asks('version')) return { command: 'version' };
  if (command === 'help') return readTopic(rest);

  if (command === 'completion') return { command, shell: readShell(rest) };
  checkWords(command, rest);
  const flags = readFlags(given, env);
  if (flags.verbose && flags.quiet)
    throw usage('--verbose and --quiet cannot be given together', 'Leave one of them out.');
  const warnings = [...given.keys()].flatMap((id) => {
    const flag: FlagDefinition = flagTable[id];
    return flag.obsolete === undefined ? [] : [`--${flag.name} has no effect: ${flag.obsolete}`];
  });
  return { command, flags, warnings, words: rest };
}

function checkWords(command: WorkCommand, words: string[]): void {
  const { min, max, what } = wordsOf[command] ?? { min: 0, max: 0, what: '' };
  const stray = words[max];
  if (stray !== undefined) throw strayWord(command, stray);
  if (words.length < min) throw usage(`${command} needs ${what}`, `See tranship ${command} --help.`);
}

function tokenise(argv: string[]) {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'V' },
  };
  for (const flag of Object.values(flagTable) as FlagDefinition[]) {
    const type = flag.kind === 'bool' ? 'boolean' : 'string';
    options[flag.name] = flag.short === undefined ? { type } : { type, short: flag.short };
  }
  return parseArgs({ args: argv, options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

/** False for the -h in -auth, which Go's flag package takes for --auth and the tokeniser for -a -u -t -h. */
function isWhole(token: OptionToken, options: OptionToken[]): boolean {
  return options.every(({ index, name }) => index !== token.index || idByName.has(name) || isInformative(name));
}

function isInformative(name: string): boolean {
  return name === 'help' || name === 'version';
}

/** The values of each flag as written, in order. */
function collect(argv: string[], options: OptionToken[], command: Command): ByFlag {
  const given: ByFlag = new Map();
  for (const token of options) {
    const id = idByName.get(token.name);
    if (id === undefined) {
      if (isInformative(token.name)) continue;
      throw unknownFlag(token, argv[token.index] ?? token.rawName, command);
    }
    const flag: FlagDefinition = flagTable[id];
    if (!(flag.commands as readonly string[]).includes(command)) {
      throw usage(
        `${token.rawName} is not a flag of ${command}`,
        id === 'dryRun' ? 'tranship plan tells what sync would copy.' : `It belongs to ${flag.commands.join(', ')}.`,
      );
    }
    given.set(id, [...(given.get(id) ?? []), writtenValue(token, flag)]);
  }
  return given;
}

function writtenValue(token: OptionToken, flag: FlagDefinition): string {
  if (flag.kind === 'bool') return token.value ?? 'true';
  if (token.value === undefined) throw usage(`${token.rawName} needs a value`, `Write --${flag.name}=${sample(flag)}.`);
  // The tokeniser gives "=5" for -p=5, where pflag gives 5.
  if (!token.rawName.startsWith('--')) return token.value.replace(/^=/, '');
  const isNumber = flag.kind === 'int' && /^-\d+$/.test(token.value);
  if (!token.inlineValue && /^-./.test(token.value) && !isNumber) {
    throw usage(
      `${token.rawName} needs a value, and ${quote(token.value)} looks like the next flag`,
      `Write --${flag.name}=${sample(flag)}.`,
    );
  }
  return token.value;
}

function readFlags(given: ByFlag, env: Record<string, string | undefined>): Flags {
  const values = Object.entries(flagTable).map(([id, definition]) => {
    const flag: FlagDefinition = definition;
    const fromEnv = flag.env === undefined ? undefined : env[flag.env];
    return [id, readFlag(flag, given.get(id as FlagId) ?? (fromEnv === undefined ? [] : [fromEnv]))];
  });
  return Object.fromEntries(values) as Flags;
}

/**
 * An empty value counts as none, so that `--log "$LOG"` works with and without LOG. The last of several values wins.
 */
function readFlag(flag: FlagDefinition, written: string[]): Flags[FlagId] {
  if (flag.kind === 'list') {
    const items = flag.whole ? written : written.flatMap((text) => text.split(','));
    return items
      .map((item) => item.trim())
      .filter((item) => item !== '')
      .map((item) => checked(flag, item));
  }
  const text = written.at(-1) ?? '';
  if (flag.kind === 'bool') {
    if (text === '') return flag.optional ? undefined : false;
    return readBool(flag, text);
  }
  if (text === '') return flag.keepsEmpty && written.length > 0 ? '' : (flag.default as Flags[FlagId]);
  if (flag.kind === 'int') return readInt(flag, text);
  if (flag.kind === 'duration') return readDuration(flag, text);
  return isPath(flag) ? expandHome(text) : checked(flag, text);
}

function isPath(flag: FlagDefinition): boolean {
  return flag.value === 'FILE' || flag.value === 'DIR';
}

/** The spellings of Go's strconv.ParseBool, which image-syncer's flags take. */
function readBool(flag: FlagDefinition, text: string): boolean {
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw usage(`--${flag.name}: ${quote(text)} is neither true nor false`);
}

function readInt(flag: FlagDefinition, text: string): number {
  const [min, max] = flag.range ?? [0, Number.MAX_SAFE_INTEGER];
  const value = /^[+-]?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw usage(`--${flag.name}: ${quote(text)} is not a whole number from ${min} to ${max}`);
}

function readDuration(flag: FlagDefinition, text: string): number {
  const value = parseDuration(text);
  if (value !== undefined) return value;
  throw usage(`--${flag.name}: ${quote(text)} is not a time`, 'Write it with units, as 90s, 15m, 6h, 1h30m or 2d.');
}

function checked(flag: FlagDefinition, value: string): string {
  if (flag.choices !== undefined && !flag.choices.includes(value)) {
    throw usage(
      `--${flag.name}: ${quote(value)} is not one of ${flag.choices.join(', ')}`,
      nearest(value, flag.choices),
    );
  }
  const fault = flag.fault?.(value);
  if (fault !== undefined) throw usage(`--${flag.name}: ${quote(value)} ${fault}`);
  return value;
}

function readTopic([topic, stray]: string[]): Invocation {
  if (stray !== undefined) throw strayWord('help', stray);
  if (topic === undefined) return { command: 'help' };
  if (!isCommand(topic)) throw unknownCommand(topic);
  return { command: 'help', topic };
}

function readShell([shell, stray]: string[]): Shell {
  if (stray !== undefined) throw strayWord('completion', stray);
  const known = shells.find((name) => name === shell);
  if (known !== undefined) return known;
  const what =
    shell === undefined ? 'completion needs the name of a shell' : `there is no completion for ${quote(shell)}`;
  throw usage(what, `Write tranship completion ${shells.join(', or ')}.`);
}

function isCommand(word: string): word is Command {
  return Object.hasOwn(commands, word);
}

function unknownCommand(word: string): TranshipError {
  if (/\.(ya?ml|json)$/i.test(word))
    return usage(`unexpected argument ${quote(word)}`, `For a rules file write --rules ${word}.`);
  const mend =
    mendOfDash(word) ?? nearest(word, Object.keys(commands)) ?? `The commands are ${Object.keys(commands).join(', ')}.`;
  return usage(`there is no command ${quote(word)}`, mend);
}

function strayWord(command: Command, word: string): TranshipError {
  const mend = mendOfDash(word) ?? `See tranship ${command} --help.`;
  return usage(`unexpected argument ${quote(word)} after ${command}`, mend);
}

/** Word processors and web pages make one long dash of two hyphens. */
function mendOfDash(word: string): string | undefined {
  const bare = word.replace(/^[\p{Pd}\u2212]+/u, '');
  if (bare === word || word.startsWith('-')) return undefined;
  return `It begins with a dash that is no hyphen: write --${bare}`;
}

function unknownFlag(token: OptionToken, written: string, command: Command): TranshipError {
  const bare = written.replace(/^-+/, '').split('=', 1)[0] ?? '';
  const shown = token.rawName.startsWith('--') ? token.rawName : written;
  const names = flagsOf(command).map(({ name }) => name);
  const mend = bare.length > 1 ? nearest(bare, names, '--') : undefined;
  return usage(`there is no flag ${quote(shown)}`, mend ?? `See tranship ${command} --help.`);
}

/** A hint at the choice that was probably meant: at most a third of its letters differ, or only their order. */
function nearest(word: string, choices: readonly string[], prefix = ''): string | undefined {
  if (choices.length === 0) return undefined;
  const best = closest(word.slice(0, 100).toLowerCase(), choices);
  const swapped = [...best].sort().join('') === [...word.toLowerCase()].sort().join('');
  return swapped || distance(word.toLowerCase(), best) <= Math.max(1, Math.floor(best.length / 3))
    ? `Did you mean ${prefix}${best}?`
    : undefined;
}

function sample(flag: FlagDefinition): string {
  return String(
    flag.default === undefined || flag.kind === 'duration' ? (flag.value ?? flag.choices?.[0]) : flag.default,
  );
}

function quote(text: string): string {
  return JSON.stringify(shorten(text, 100));
}

function usage(message: string, mend?: string): TranshipError {
  return configurationError(message, {
    mend,
  });
}
