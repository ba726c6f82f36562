import { errorClasses, errorCodes } from '../../core/model/errors.ts';
import { isRegistryName } from '../../core/model/reference.ts';
import { defaultChances } from '../../core/pipeline/second-chance.ts';

/** The subcommands in the order of the help. The first one is the default. */
export const commands = {
  sync: 'copy every tag that is new or changed (the default)',
  plan: 'show what sync would copy, and what it would cost; writes nothing',
  explain: 'say in words which tags a rule takes, and why not the others',
  verify: 'compare what the destinations hold with the source',
  status: 'show the last runs, what failed and why',
  redrive: 'try failed and deferred tags again',
  serve: 'copy pushed tags at once, and the rest on schedules',
  worker: 'copy what takes longer than a function on AWS may run',
  webhooks: 'show what to paste into the webhook forms of registries',
  ui: 'show all of it in a browser',
  init: 'write a rules file, and check the logins it needs',
  copy: 'copy images without any rules file',
  tags: 'list the tags of a repository',
  completion: 'print a completion script: bash, zsh or fish',
  help: 'explain a command',
  version: 'print the version',
} as const;

export type Command = keyof typeof commands;

/** The commands that have flags. */
export type WorkCommand = Exclude<Command, 'completion' | 'help' | 'version'>;

/** The words that a command takes after its name; the other commands take none. */
export const wordsOf: Partial<Record<WorkCommand, { min: number; max: number; what: string }>> = {
  status: { min: 0, max: 1, what: 'a run' },
  explain: { min: 0, max: 100, what: 'a rule and tags' },
  copy: { min: 2, max: 101, what: 'a source and its destinations' },
  tags: { min: 1, max: 1, what: 'a repository' },
};

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export interface FlagDefinition {
  /** As written, without the dashes. */
  name: string;
  short?: string;
  /** A `list` accumulates, and commas split its values unless it is `whole`. A `duration` is in milliseconds. */
  kind: 'string' | 'int' | 'duration' | 'list' | 'bool';
  /** A `bool` that has a third state: not given. */
  optional?: boolean;
  whole?: boolean;
  default?: string | number;
  /** An empty value says something, and is not the same as none. */
  keepsEmpty?: boolean;
  /** Smallest and largest int. */
  range?: readonly [min: number, max: number];
  choices?: readonly string[];
  /** What is wrong with a value, as the end of a sentence that begins with it; undefined for a good one. */
  fault?: (value: string) => string | undefined;
  /** The variable that stands in for the flag. */
  env?: string;
  /** The name of the value in the help. FILE and DIR are paths: shells complete them, and `~/` is the home directory. */
  value?: string;
  commands: readonly WorkCommand[];
  help: string;
  /** Why the flag has no effect. It is accepted because old command lines have it. */
  obsolete?: string;
}

const notAHost = (value: string) =>
  isRegistryName(value.toLowerCase()) ? undefined : 'is not a host; write it as host or host:port, without https://';

/** `host:port`, or `:port` for all addresses of the machine; 0 for any free port. */
const notAnAddress = (value: string) =>
  /^(?:\[[0-9a-f:.]+\]|[a-z0-9.-]*):\d{1,5}$/i.test(value) && readAddress(value).port <= 65_535
    ? undefined
    : 'is not an address; write it as 127.0.0.1:8080, or as :8080 for all addresses of this machine';

/** The two parts of `--listen`; no host means all addresses. */
export function readAddress(text = ''): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

const notAUrl = (value: string) =>
  /^https?:\/\/[^\s/?#]+(?:\/[^\s?#]*)?$/i.test(value)
    ? undefined
    : 'is not a URL; write it as https://hooks.example.com';

const withRules = ['sync', 'plan', 'explain', 'verify', 'serve', 'ui'] as const;
const withLogins = [...withRules, 'redrive', 'init', 'copy', 'tags'] as const;
const withPlatforms = [...withRules, 'copy'] as const;
const copying = ['sync', 'redrive', 'serve', 'copy', 'ui'] as const;
const logging = ['sync', 'redrive', 'copy'] as const;
const reporting = ['sync', 'plan', 'verify', 'status', 'redrive', 'serve', 'copy'] as const;
const remembering = [...reporting, 'ui'] as const;
const printing = [...reporting, 'explain', 'tags'] as const;

/**
 * Every flag of the command. Parsing, help and completion are made from this table. The first ones are those of
 * image-syncer, with its meanings and defaults (cmd/image-syncer.go). `--registry`, `--namespace` and `--records` were
 * in older versions of it.
 */
export const flagTable = {
  config: {
    name: 'config',
    kind: 'string',
    value: 'FILE',
    commands: withLogins,
    help: 'rules and logins in one file (image-syncer before 1.2)',
  },
  auth: {
    name: 'auth',
    kind: 'string',
    value: 'FILE',
    commands: withLogins,
    keepsEmpty: true,
    help: "logins by registry (else auth.json or auth.yaml here); --auth= takes Docker's own",
  },
  images: {
    name: 'images',
    kind: 'string',
    value: 'FILE',
    commands: withRules,
    help: 'rules, source to destinations (else images.json or .yaml)',
  },
  rules: {
    name: 'rules',
    kind: 'string',
    value: 'FILE',
    commands: [...withRules, 'init'],
    help: 'rules with filters (else tranship.yaml here)',
  },
  proc: {
    name: 'proc',
    short: 'p',
    kind: 'int',
    default: 5,
    range: [1, 1000],
    value: 'N',
    commands: ['sync', 'plan', 'verify', 'redrive', 'serve', 'worker', 'copy'],
    help: 'how many blobs are copied at once',
  },
  workers: {
    name: 'workers',
    kind: 'int',
    range: [1, 1000],
    value: 'N',
    commands: copying,
    help: 'how many threads may move large blobs (else one a core, never more than --proc)',
  },
  retries: {
    name: 'retries',
    short: 'r',
    kind: 'int',
    default: 2,
    range: [0, 100],
    value: 'N',
    commands: copying,
    help: 'how often a failed tag is tried again',
  },
  os: {
    name: 'os',
    kind: 'list',
    value: 'OS',
    commands: withPlatforms,
    help: 'copy only these operating systems',
  },
  arch: {
    name: 'arch',
    kind: 'list',
    value: 'ARCH',
    commands: withPlatforms,
    help: 'copy only these architectures (with variant: arm:v7)',
  },
  force: {
    name: 'force',
    kind: 'bool',
    commands: ['sync', 'plan', 'copy'],
    help: 'copy even what is in step already',
  },
  registry: {
    name: 'registry',
    kind: 'string',
    env: 'DEFAULT_REGISTRY',
    fault: notAHost,
    value: 'HOST',
    commands: withRules,
    help: 'where rules with an empty destination copy to',
  },
  namespace: {
    name: 'namespace',
    kind: 'string',
    env: 'DEFAULT_NAMESPACE',
    value: 'PATH',
    commands: withRules,
    help: 'namespace at --registry for those rules',
  },
  log: {
    name: 'log',
    kind: 'string',
    value: 'FILE',
    commands: logging,
    help: 'write log lines to this file instead of stderr',
  },
  outputSuccessImages: {
    name: 'output-success-images',
    kind: 'string',
    value: 'FILE',
    commands: ['sync'],
    help: 'write what was copied to this file, as rules',
  },
  outputImagesFormat: {
    name: 'output-images-format',
    kind: 'string',
    choices: ['yaml', 'json'],
    default: 'yaml',
    commands: ['sync'],
    help: 'format of that file: yaml or json',
  },
  records: {
    name: 'records',
    kind: 'string',
    value: 'FILE',
    commands: ['sync'],
    help: '',
    obsolete: 'what was copied is remembered in the state directory (--state)',
  },
  state: {
    name: 'state',
    kind: 'string',
    value: 'DIR',
    commands: remembering,
    help: 'memory between runs (else $TRANSHIP_STATE, else ~/.local/state/tranship)',
  },
  stack: {
    name: 'stack',
    kind: 'string',
    value: 'NAME',
    commands: ['plan', 'verify', 'status', 'redrive', 'worker', 'ui', 'webhooks'],
    help: 'a stack deployed on AWS, instead of this machine',
  },
  maxWaitMs: {
    name: 'max-wait',
    kind: 'duration',
    default: 6 * 3_600_000,
    value: 'TIME',
    commands: copying,
    help: 'defer tags of a registry that asks for a longer pause',
  },
  allowRealm: {
    name: 'allow-realm',
    kind: 'list',
    fault: notAHost,
    value: 'HOST',
    commands: [...withLogins, 'worker'],
    help: 'trust this token service with logins, though it is on another host than the registry',
  },
  errorClass: {
    name: 'class',
    kind: 'list',
    choices: errorClasses,
    commands: ['redrive'],
    help: 'only failures of this class: permanent, transient, throttled',
  },
  errorCode: {
    name: 'code',
    kind: 'list',
    choices: errorCodes,
    value: 'CODE',
    commands: ['redrive'],
    help: 'only failures with this code: network, unauthorized, ... (docs/errors.md)',
  },
  rule: {
    name: 'rule',
    kind: 'list',
    whole: true,
    value: 'RULE',
    commands: ['redrive'],
    help: 'only tags of this rule, by its name or its source as written',
  },
  run: {
    name: 'run',
    kind: 'string',
    value: 'RUN',
    commands: ['redrive'],
    help: 'only tags of this run; without it of every run',
  },
  dryRun: {
    name: 'dry-run',
    kind: 'bool',
    commands: ['redrive'],
    help: 'list the tags and leave them',
  },
  limit: {
    name: 'limit',
    kind: 'int',
    default: 10,
    range: [1, 10_000],
    value: 'N',
    commands: ['status'],
    help: 'how many runs to show',
  },
  webhooks: {
    name: 'webhooks',
    kind: 'string',
    value: 'FILE',
    commands: ['serve', 'webhooks'],
    help: 'who may announce pushes (else webhooks.yaml here)',
  },
  listen: {
    name: 'listen',
    kind: 'string',
    default: '127.0.0.1:8080',
    fault: notAnAddress,
    value: 'ADDRESS',
    commands: ['serve'],
    help: 'where to take push events, health checks and metrics requests',
  },
  adminListen: {
    name: 'admin-listen',
    kind: 'string',
    fault: notAnAddress,
    value: 'ADDRESS',
    commands: ['serve'],
    help: 'answer health checks, metrics and reload here, and no more at --listen',
  },
  port: {
    name: 'port',
    kind: 'int',
    default: 8090,
    range: [0, 65_535],
    value: 'N',
    commands: ['ui'],
    help: 'port of the page on 127.0.0.1; 0 takes any free one',
  },
  uiTokenFile: {
    name: 'ui-token-file',
    kind: 'string',
    value: 'FILE',
    commands: ['ui', 'serve'],
    help: 'the token in this file lets people see the status page; serve shows the page at --admin-listen',
  },
  uiHost: {
    name: 'ui-host',
    kind: 'list',
    fault: notAHost,
    value: 'HOST',
    commands: ['ui', 'serve'],
    help: 'another name of the status page, as of a proxy before it',
  },
  syncAtStart: {
    name: 'sync-at-start',
    kind: 'bool',
    optional: true,
    commands: ['serve'],
    help: 'sync all rules once at the start (else those whose senders announce a push only once)',
  },
  allTags: {
    name: 'all-tags',
    kind: 'bool',
    commands: ['copy'],
    help: 'copy all tags of a source that is written without a tag, instead of latest',
  },
  digests: {
    name: 'digests',
    kind: 'bool',
    commands: ['tags'],
    help: 'ask for the digest of each tag too: one request a tag',
  },
  from: {
    name: 'from',
    kind: 'string',
    value: 'IMAGE',
    commands: ['init'],
    help: 'what to copy, as docker.io/library/alpine or alpine:3.22 (else it asks)',
  },
  to: {
    name: 'to',
    kind: 'list',
    value: 'REPOSITORY',
    commands: ['init'],
    help: 'where to, as registry.example.com/mirror/alpine (else it asks)',
  },
  tag: {
    name: 'tags',
    kind: 'string',
    value: 'PATTERN',
    commands: ['init'],
    help: 'which tags: a glob as 3.*, or a /regular expression/ (else all)',
  },
  newest: {
    name: 'newest',
    kind: 'int',
    range: [1, 100_000],
    value: 'N',
    commands: ['init'],
    help: 'only the highest N versions of those',
  },
  check: {
    name: 'check',
    kind: 'bool',
    commands: ['serve'],
    help: 'read all files, tell what is wrong with them, and exit',
  },
  baseUrl: {
    name: 'base-url',
    kind: 'string',
    default: 'http://127.0.0.1:8080',
    fault: notAUrl,
    value: 'URL',
    commands: ['webhooks'],
    help: 'how registries reach serve from outside',
  },
  schedule: {
    name: 'schedule',
    kind: 'string',
    value: 'CRON',
    commands: ['serve'],
    help: 'when to sync rules that have no schedule in their file, as "0 3 * * *"',
  },
  debounceMs: {
    name: 'debounce',
    kind: 'duration',
    default: 1_000,
    value: 'TIME',
    commands: ['serve'],
    help: 'gather the events of one push for this long before it is copied',
  },
  maxQueue: {
    name: 'max-queue',
    kind: 'int',
    default: 100_000,
    range: [1, 10_000_000],
    value: 'N',
    commands: ['serve'],
    help: 'refuse push events while so many tags wait',
  },
  redriveAfterMs: {
    name: 'redrive-after',
    kind: 'duration',
    default: defaultChances.pauseMs,
    value: 'TIME',
    commands: ['serve'],
    help: 'try what failed for the moment again after this, then ever later; 0 for never',
  },
  json: {
    name: 'json',
    kind: 'bool',
    commands: [...printing, 'worker'],
    help: 'print one JSON document a line on stdout (docs/cli.md)',
  },
  verbose: {
    name: 'verbose',
    short: 'v',
    kind: 'bool',
    commands: [...remembering, 'explain'],
    help: 'list tags that are in step too',
  },
  quiet: {
    name: 'quiet',
    short: 'q',
    kind: 'bool',
    commands: ['sync', 'verify', 'redrive', 'serve', 'worker', 'copy'],
    help: 'print nothing but what went wrong',
  },
  noColor: {
    name: 'no-color',
    kind: 'bool',
    commands: [...printing, 'worker', 'init'],
    help: 'no colours (or set NO_COLOR; FORCE_COLOR for the contrary)',
  },
} as const satisfies Record<string, FlagDefinition>;

type FlagValue<D> = D extends { kind: 'bool' }
  ? D extends { optional: true }
    ? boolean | undefined
    : boolean
  : D extends { kind: 'list'; choices: readonly (infer Choice)[] }
    ? Choice[]
    : D extends { kind: 'list' }
      ? string[]
      : D extends { kind: 'int' | 'duration' }
        ? D extends { default: number }
          ? number
          : number | undefined
        : D extends { choices: readonly (infer Choice)[] }
          ? Choice
          : string | undefined;

/** The value of each flag, given or default. A flag that the command does not have holds its default. */
export type Flags = { [Id in keyof typeof flagTable]: FlagValue<(typeof flagTable)[Id]> };

export type FlagId = keyof typeof flagTable;

/** The flags of one command, or of all of them, in the order of the help; without the obsolete ones. */
export function flagsOf(command?: Command): FlagDefinition[] {
  const all: FlagDefinition[] = Object.values(flagTable);
  return all.filter(
    (flag) =>
      flag.obsolete === undefined && (command === undefined || (flag.commands as readonly string[]).includes(command)),
  );
}
