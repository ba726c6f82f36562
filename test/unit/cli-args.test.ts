import { homedir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../cli/args/args.ts';
import { type FlagDefinition, type Flags, flagTable } from '../../cli/args/flags.ts';
import { TranshipError } from '../../core/model/errors.ts';

function flagsOf(line: string, env: Record<string, string> = {}): Flags {
  const invocation = parseCommandLine(line.split(' ').filter(Boolean), env);
  if (!('flags' in invocation)) throw new Error(`no flags: ${line}`);
  return invocation.flags;
}

function refusal(...argv: string[]): TranshipError {
  try {
    parseCommandLine(argv);
  } catch (error) {
    if (error instanceof TranshipError) return error;
    throw error;
  }
  throw new Error(`accepted: ${argv.join(' ')}`);
}

describe('a command line of image-syncer', () => {
  it('works as it is, without a subcommand', () => {
    const invocation = parseCommandLine(['--proc=6', '--auth=./auth.json', '--images=./images.json', '--retries=3']);
    expect(invocation).toMatchObject({
      command: 'sync',
      flags: { proc: 6, auth: './auth.json', images: './images.json', retries: 3 },
      warnings: [],
    });
  });

  it('has its defaults', () => {
    expect(flagsOf('')).toMatchObject({
      proc: 5,
      retries: 2,
      os: [],
      arch: [],
      force: false,
      outputImagesFormat: 'yaml',
      config: undefined,
      log: undefined,
    });
  });

  it.each(['-p 5', '-p5', '-p=5', '--proc 5', '--proc=5'])('takes %s', (line) => {
    expect(flagsOf(`--proc 9 ${line}`).proc).toBe(5);
  });

  it.each([
    ['--force', true],
    ['--force=true', true],
    ['--force=1', true],
    ['--force=F', false],
    ['--force --force=false', false],
  ])('reads %s', (line, force) => {
    expect(flagsOf(line).force).toBe(force);
  });

  it('accumulates --os and --arch, repeated or by comma, without empty ones', () => {
    const flags = flagsOf('--os linux --os windows,darwin --arch amd64,,arm:v7');
    expect(flags.os).toEqual(['linux', 'windows', 'darwin']);
    expect(flags.arch).toEqual(['amd64', 'arm:v7']);
  });

  it('takes ~/ for the home directory in the path of every flag', () => {
    const paths: FlagDefinition[] = Object.values(flagTable).filter(({ kind }) => kind === 'string');
    for (const { name, commands } of paths.filter(({ value = '' }) => ['FILE', 'DIR'].includes(value))) {
      const flags = flagsOf(`${commands[0]} --${name}=~/a/b`);
      expect(Object.values(flags), name).toContain(join(homedir(), 'a/b'));
    }
    expect(flagsOf('--state ~/s --namespace=~/n').namespace).toBe('~/n');
    expect(flagsOf('--rules=~user/x --log ./~/x')).toMatchObject({ rules: '~user/x', log: './~/x' });
  });

  it('takes an empty value as none', () => {
    const invocation = parseCommandLine(['--log=', '--output-success-images', '', '--proc=']);
    expect(invocation).toMatchObject({ flags: { log: undefined, outputSuccessImages: undefined, proc: 5 } });
    // It says that Docker's own logins are meant.
    expect([flagsOf('').auth, flagsOf('--auth=').auth]).toEqual([undefined, '']);
  });

  it('takes the default destination from a flag or its variable, the flag first', () => {
    const env = { DEFAULT_REGISTRY: 'a.example.com', DEFAULT_NAMESPACE: 'team' };
    expect(flagsOf('', env)).toMatchObject({ registry: 'a.example.com', namespace: 'team' });
    expect(flagsOf('--registry b.example.com:5000', env).registry).toBe('b.example.com:5000');
  });

  it('accepts --records and says that it has no effect', () => {
    const invocation = parseCommandLine(['--records', 'r']);
    expect(invocation).toMatchObject({ command: 'sync', warnings: [expect.stringContaining('--records')] });
  });
});

describe('subcommands', () => {
  it('stand anywhere among the flags', () => {
    expect(parseCommandLine(['--auth', 'a.json', 'plan', '--json'])).toMatchObject({
      command: 'plan',
      flags: { auth: 'a.json', json: true },
    });
  });

  it('take what they have beside flags', () => {
    expect(parseCommandLine(['status', 'run-1', '--limit', '3'])).toMatchObject({
      words: ['run-1'],
      flags: { limit: 3 },
    });
    expect(parseCommandLine(['completion', 'zsh'])).toEqual({ command: 'completion', shell: 'zsh' });
    expect(parseCommandLine(['help', 'redrive'])).toEqual({ command: 'help', topic: 'redrive' });
  });

  it('explain themselves, whatever else is wrong with the line', () => {
    expect(parseCommandLine(['-h'])).toEqual({ command: 'help' });
    expect(parseCommandLine(['plan', '--nonsense', '--help'])).toEqual({ command: 'help', topic: 'plan' });
    expect(parseCommandLine(['--imges', 'x', '-h'])).toEqual({ command: 'help' });
    expect(parseCommandLine(['--version'])).toEqual({ command: 'version' });
  });

  it('filter a redrive; a rule may have commas in its name', () => {
    const flags = flagsOf('redrive --class permanent,transient --code network --rule a/b:v1,v2 --rule c --dry-run');
    expect(flags).toMatchObject({
      errorClass: ['permanent', 'transient'],
      errorCode: ['network'],
      rule: ['a/b:v1,v2', 'c'],
      dryRun: true,
    });
  });

  it('read durations', () => {
    expect(flagsOf('--max-wait 1h30m').maxWaitMs).toBe(5_400_000);
    expect(flagsOf('').maxWaitMs).toBe(21_600_000);
    expect(flagsOf('--max-wait 0').maxWaitMs).toBe(0);
  });
});

describe('a wrong command line', () => {
  it.each([
    [['--imges', 'x'], /--imges/, /--images/],
    [['-auth', 'x'], /-auth/, /--auth/],
    [['--zzzzzz'], /--zzzzzz/, /sync --help/],
    [['-x'], /-x/, /sync --help/],
    [['snyc'], /"snyc"/, /^Did you mean sync\?$/],
    [['–images', 'x'], /no command "–images"/, /no hyphen: write --images$/],
    [['sync', '—proc=5'], /unexpected argument "—proc=5"/, /write --proc=5$/],
    [['images.yaml'], /images\.yaml/, /--rules images\.yaml/],
    [['sync', 'extra'], /"extra"/, /sync --help/],
    [['--', 'sync', '--force'], /"--force"/, /sync --help/],
    [['sync', '--dry-run'], /--dry-run is not a flag of sync/, /^tranship plan tells/],
    [['status', '--force'], /--force is not a flag of status/, /sync, plan/],
    [['--proc', 'many'], /--proc: "many".*1 to 1000/, /^$/],
    [['--proc=0'], /"0".*1 to 1000/, /^$/],
    [['--proc', '-1'], /"-1".*1 to 1000/, /^$/],
    [['-p', '-1'], /"-1".*1 to 1000/, /^$/],
    [['--log', '-1'], /--log needs a value.*-1/, /--log=FILE/],
    [['-p', '1.5'], /"1\.5"/, /^$/],
    [['--max-wait', '5'], /--max-wait: "5" is not a time/, /90s/],
    [['--force=maybe'], /--force: "maybe"/, /^$/],
    [['--output-images-format', 'yml'], /"yml" is not one of yaml, json/, /yaml/],
    [['redrive', '--code', 'netwrok'], /"netwrok"/, /network/],
    [['--auth', '--images', 'i.json'], /--auth needs a value.*--images/, /--auth=FILE/],
    [['--auth'], /--auth needs a value/, /--auth=FILE/],
    [['--allow-realm', 'https://auth.example.com/token'], /is not a host/, /^$/],
    [['-v', '-q'], /--verbose and --quiet/, /one/],
    [['completion'], /name of a shell/, /bash/],
    [['completion', 'tcsh'], /"tcsh"/, /bash/],
    [['help', 'me'], /"me"/, /sync/],
  ])('%j is refused with what to write instead', (argv, message, mend) => {
    const error = refusal(...argv);
    expect(error.class).toBe('configuration');
    expect(error.message).toMatch(message);
    expect(error.mend ?? '').toMatch(mend);
  });

  it('is always answered by a command or a configuration error', () => {
    const word = fc.oneof(
      fc.constantFrom(
        'sync',
        'plan',
        '--',
        '-',
        '--auth',
        '-p',
        '-p=',
        '--force=x',
        '--os',
        '=',
        '-vq',
        '--=',
        'status',
      ),
      fc.constantFrom(...Object.values(flagTable).map(({ name }) => `--${name}`)),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
        try {
          expect(parseCommandLine(argv).command).toBeTypeOf('string');
        } catch (error) {
          expect(error).toMatchObject({ name: 'TranshipError', class: 'configuration' });
        }
      }),
    );
  });
});
