import { exitCodeHelp } from '../exit-codes.ts';
import { formatDuration } from '../view/format.ts';
import { pad, wrap } from '../view/width.ts';
import { type Command, commands, type FlagDefinition, flagsOf } from './flags.ts';

const width = 80;
/** The help of a flag with a longer name begins on the next line. */
const maxFlagColumn = 24;
/** Keeps `(default 5)` on one line. */
const fixedBlank = '\u00a0';

interface Page {
  usage: string[];
  about: string;
  examples: Array<[command: string, what: string]>;
  /** Where they mean something other than for a run. */
  exitCodes?: typeof exitCodeHelp;
}

const pages: Record<Command, Page> = {
  sync: {
    usage: ['tranship [sync] [flags]'],
    about:
      "Copies every tag of the rules that is new or changed at its source. Without an auth file, Docker's own logins are used. Stopped half-way, it goes on where it was when it is run again.",
    examples: [
      ['tranship --auth auth.yaml --images images.yaml', 'as image-syncer is called'],
      ['tranship sync --rules tranship.yaml -p 10', 'ten blobs at once'],
      ['tranship sync --arch amd64,arm64 --json', 'for programs'],
    ],
  },
  plan: {
    usage: ['tranship plan [flags]'],
    about:
      'Shows which tags sync would copy, how much would be moved, and how many pulls it would cost. Writes nothing.',
    examples: [
      ['tranship plan --rules tranship.yaml', 'before a first sync'],
      ['tranship plan --verbose', 'tags in step as well'],
    ],
  },
  explain: {
    usage: ['tranship explain [rule [tag...]] [flags]'],
    about:
      'Says in words what each rule takes, and shows by the tags that are at its source now which are in, which are out, and why. Asks the source for its tag list and nothing else.',
    examples: [
      ['tranship explain', 'every rule'],
      ['tranship explain alpine 3.19 edge', 'what of these two?'],
    ],
    exitCodes: [
      ['0', 'explained'],
      ['1', 'the tags of a source could not be read'],
      ['2', 'a flag or a file cannot be used'],
    ],
  },
  init: {
    usage: ['tranship init [flags]'],
    about:
      'Asks what goes where, or takes it from the flags, writes a rules file, and tries whether the logins at hand can read the source and push to the destination. It begins an upload there and gives it up; nothing is copied.',
    examples: [
      ['tranship init', 'asks'],
      ['tranship init --from alpine --to r.example.com/alpine', 'does not'],
    ],
    exitCodes: [
      ['0', 'written, and the logins work'],
      ['1', 'written, but a registry cannot be read or pushed to'],
      ['2', 'nothing was written'],
    ],
  },
  copy: {
    usage: ['tranship copy <source> <destination>... [flags]'],
    about:
      "Copies what is named, and needs no rules file. Sources and destinations are written as in image-syncer's images file; of a source without a tag its latest is copied. Remembers what it copied as sync does, and reports like it.",
    examples: [
      ['tranship copy alpine:3.22 r.example.com/alpine', 'one tag'],
      ['tranship copy --all-tags quay.io/a/b ghcr.io/a/b', 'all tags'],
      ["tranship copy 'alpine:/^3/' r.example.com/alpine", 'by expression'],
    ],
  },
  tags: {
    usage: ['tranship tags <repository> [flags]'],
    about: "Lists the tags of a repository, one a line, in the registry's order.",
    examples: [
      ['tranship tags alpine', "Docker Hub's"],
      ['tranship tags --digests ghcr.io/org/app', 'with their digests'],
    ],
    exitCodes: [
      ['0', 'listed'],
      ['1', 'the tags could not be read'],
      ['2', 'a flag or a file cannot be used'],
    ],
  },
  verify: {
    usage: ['tranship verify [flags]'],
    about:
      'Asks every destination of the rules for its digest and compares it with the source and with what is remembered. Ends with 1 where any differs or is missing.',
    examples: [['tranship verify --images images.yaml', 'is everything there?']],
  },
  status: {
    usage: ['tranship status [run] [flags]'],
    about: 'Shows the last runs of this machine, the tags that failed or were deferred, and why; or one run alone.',
    examples: [
      ['tranship status', 'the last ten runs'],
      ['tranship status --limit 1 --json', 'the last run, for programs'],
    ],
  },
  redrive: {
    usage: ['tranship redrive [flags]'],
    about: 'Tries failed and deferred tags of earlier runs again: all of them, or those that the flags choose.',
    examples: [
      ['tranship redrive', 'all that failed'],
      ['tranship redrive --code unauthorized,denied', 'once the login is mended'],
      ['tranship redrive --class throttled --dry-run', 'what would be tried'],
    ],
  },
  serve: {
    usage: ['tranship serve [flags]'],
    about:
      'Runs until it is stopped: copies tags when registries announce their push, syncs the rules on their schedules, and tries again what failed for the moment. What was answered with 2xx is on the disk. See docs/serve.md.',
    examples: [
      ['tranship serve --rules tranship.yaml', 'with webhooks.yaml beside it'],
      ['tranship serve --listen 0.0.0.0:8080', 'reachable from outside'],
    ],
    exitCodes: [
      ['0', 'stopped, by SIGINT or SIGTERM'],
      ['1', 'it could not go on: a full disk, say'],
      ['2', 'a flag or a file cannot be used; nothing was started'],
    ],
  },
  worker: {
    usage: ['tranship worker --stack NAME [flags]'],
    about:
      'Copies tags of a stack on AWS with layers that take longer than a function may run, and that their registries do not let another one go on with. Runs until it is stopped, on any machine with AWS credentials; several may run at once. See docs/aws.md.',
    examples: [
      ['tranship worker --stack Tranship', 'region and login as for AWS tools'],
      ['tranship worker --stack Tranship -p 2', 'two tasks at once'],
    ],
    exitCodes: [
      ['0', 'stopped, by SIGINT or SIGTERM; what was in hand is given back'],
      ['1', 'it could not go on: a right that is missing, say'],
      ['2', 'a flag cannot be used, or there is no such stack'],
    ],
  },
  webhooks: {
    usage: ['tranship webhooks [flags]'],
    about:
      'Prints for each sender of the webhooks file what to enter at the registry: the URL with its token, and how to sign. Whoever has a token may announce pushes: keep the output to yourself.',
    examples: [
      ['tranship webhooks --base-url https://h.example.com', 'what to paste where'],
      ['tranship webhooks --stack Tranship', 'for a stack on AWS'],
    ],
    exitCodes: [
      ['0', 'printed'],
      ['2', 'a flag or a file cannot be used'],
    ],
  },
  ui: {
    usage: ['tranship ui [flags]'],
    about:
      'Serves a page on this machine that shows what is in step and what is not, why, and what to do about it; prints the link that opens it. With rules and logins it can also try failed tags again and sync. See docs/ui.md.',
    examples: [
      ['tranship ui', 'of this machine'],
      ['tranship ui --stack Tranship', 'of a stack on AWS'],
    ],
    exitCodes: [
      ['0', 'stopped, by SIGINT or SIGTERM'],
      ['1', 'it could not go on'],
      ['2', 'a flag or a file cannot be used'],
    ],
  },
  completion: {
    usage: ['tranship completion bash|zsh|fish'],
    about: "Prints a script that completes commands, flags and values on a shell's command line.",
    examples: [
      ['source <(tranship completion bash)', 'in ~/.bashrc'],
      ['source <(tranship completion zsh)', 'in ~/.zshrc, after compinit'],
      ['tranship completion fish | source', 'in config.fish'],
    ],
  },
  help: { usage: ['tranship help [command]'], about: 'Explains a command, or all of them in short.', examples: [] },
  version: { usage: ['tranship version'], about: 'Prints the version.', examples: [] },
};

/** The flags in the short help: those that users of image-syncer need every day. */
const everydayFlags = ['auth', 'images', 'rules', 'proc', 'retries', 'json'];

/** What `--help` prints: of one command with all its flags, or of the whole in short. At most 80 columns wide. */
export function renderHelp(topic?: Command): string {
  if (topic === undefined) return overview();
  const page = pages[topic];
  const flags = flagsOf(topic);
  return document([
    page.usage.map((usage) => `Usage: ${usage}`),
    wrap(page.about, width),
    flags.length > 0 ? ['Flags:', ...flagLines([...flags, helpFlag])] : [],
    page.examples.length > 0 ? ['Examples:', ...exampleLines(page.examples)] : [],
    flags.length > 0 && topic !== 'status' ? exitCodeLines(page.exitCodes) : [],
  ]);
}

function overview(): string {
  return document([
    wrap(
      'tranship keeps container images in step between registries. It takes the command line and the files of image-syncer.',
      width,
    ),
    ['Usage: tranship [command] [flags]'],
    ['Commands:', ...Object.entries(commands).map(([name, what]) => `  ${pad(name, 12)}${what}`)],
    ['Flags of sync, in short:', ...flagLines(flagsOf('sync').filter(({ name }) => everydayFlags.includes(name)))],
    ['Examples:', ...exampleLines([...pages.sync.examples.slice(0, 2), ['tranship plan', 'what would be copied']])],
    exitCodeLines(),
    ['All flags of a command: tranship <command> --help'],
  ]);
}

const helpFlag: FlagDefinition = { name: 'help', short: 'h', kind: 'bool', commands: [], help: 'print this' };

function flagLines(flags: FlagDefinition[]): string[] {
  const heads = flags.map((flag) => `  ${flag.short ? `-${flag.short}, ` : '    '}--${flag.name}${valueName(flag)}`);
  const column = Math.min(maxFlagColumn, Math.max(...heads.map((head) => head.length)) + 2);
  return flags
    .flatMap((flag, at) => {
      const head = heads[at] ?? '';
      const [first = '', ...rest] = wrap(`${flag.help}${defaultText(flag)}`, width - column);
      const below = rest.map((line) => ' '.repeat(column) + line);
      if (head.length + 2 > column) return [head, ' '.repeat(column) + first, ...below];
      return [pad(head, column) + first, ...below];
    })
    .map((line) => line.replaceAll(fixedBlank, ' '));
}

function valueName(flag: FlagDefinition): string {
  return flag.kind === 'bool' ? '' : ` ${flag.value ?? flag.name.split('-').at(-1)?.toUpperCase()}`;
}

function defaultText({ kind, default: value, env }: FlagDefinition): string {
  if (env !== undefined) return ` (or $${env})`;
  if (value === undefined) return '';
  return ` (default${fixedBlank}${kind === 'duration' ? formatDuration(Number(value)).replace(' ', '') : value})`;
}

function exampleLines(examples: Array<[command: string, what: string]>): string[] {
  const column = Math.max(...examples.map(([command]) => command.length)) + 2;
  return examples.map(([command, what]) => `  ${pad(command, column)}${what}`);
}

function exitCodeLines(codes = exitCodeHelp): string[] {
  const column = Math.max(8, ...codes.map(([code]) => code.length)) + 2;
  return ['Exit codes:', ...codes.map(([code, meaning]) => `  ${pad(code, column)}${meaning}`)];
}

function document(blocks: string[][]): string {
  return `${blocks
    .filter((block) => block.length > 0)
    .map((block) => block.join('\n'))
    .join('\n\n')}\n`;
}
