import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderCompletion } from '../../cli/args/completion.ts';
import { commands, flagsOf } from '../../cli/args/flags.ts';
import { program } from '../support/command.ts';

/** What bash would offer for the last word. */
function complete(...words: string[]): string[] {
  const script = `${renderCompletion('bash')}
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }
    _tranship; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script, 'bash', ...words], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout.split('\n').filter(Boolean);
}

describe('the completion script in bash', () => {
  it('offers commands, the flags of a command, and the values of a flag', () => {
    expect(complete('tranship', '')).toEqual(Object.keys(commands));
    expect(complete('tranship', '--fo')).toEqual(['--force']);
    expect(complete('tranship', 'redrive', '--c')).toEqual(['--config', '--class', '--code']);
    expect(complete('tranship', 'redrive', '--class', '=', 'th')).toEqual(['throttled']);
    expect(complete('tranship', '--output-images-format', '')).toEqual(['yaml', 'json']);
    expect(complete('tranship', '--auth', 'package.js')).toEqual(['package.json']);
    expect(complete('tranship', '--proc', '')).toEqual([]);
    expect(complete('tranship', 'completion', 'f')).toEqual(['fish']);
  });
});

/** Bytes of all files that are loaded with these, which come first. */
function bytesLoaded(...files: string[]): number {
  const seen = new Set<string>();
  const visit = (file: string): number => {
    if (seen.has(file)) return 0;
    seen.add(file);
    const text = readFileSync(join(dirname(program), file), 'utf8');
    // What is loaded later is asked for in a function.
    const imports = [
      ...text.matchAll(/(?:^|[;,{]|const |var )(?:require_?[\w$]+ ?= ?)?require\([`"']\.\/([^`"']+)[`"']\)/g),
    ].map(([, path = '']) => path);
    return text.length + imports.reduce((sum, path) => sum + visit(path), 0);
  };
  return files.reduce((sum, file) => sum + visit(file), 0);
}

// Does not depend on time: each hundred kilobytes are a few milliseconds of every start.
describe('what the built command loads', () => {
  it('is little before a command is chosen, and without the clients of AWS for a sync', () => {
    const run = readdirSync(dirname(program)).filter((file) => file.startsWith('run-'));
    const sizes = { start: bytesLoaded('main.cjs'), sync: bytesLoaded('main.cjs', ...run) };
    expect(sizes.start).toBeGreaterThan(10_000);
    expect(sizes.start).toBeLessThan(90_000);
    expect(sizes.sync).toBeGreaterThan(300_000);
    expect(sizes.sync).toBeLessThan(1_300_000);
  });

  it('takes no module of Node in the form that reads all its exports', () => {
    const files = readdirSync(dirname(program)).filter((file) => file.endsWith('.cjs'));
    const wrong = files.filter((file) =>
      /require\([`"']node:(?!module)/.test(readFileSync(join(dirname(program), file), 'utf8')),
    );
    expect(wrong).toEqual([]);
  });
});

describe('docs/cli.md', () => {
  const text = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');

  it('tells of every command and every flag', () => {
    for (const name of Object.keys(commands)) expect(text).toContain(`tranship ${name}`);
    for (const { name } of flagsOf()) expect(text).toMatch(new RegExp(`--${name}\\b`));
  });

  it('tells of every type of JSON line', () => {
    const source = readFileSync(new URL('../../cli/view/json.ts', import.meta.url), 'utf8');
    const types = [...source.matchAll(/\btype: '([a-z-]+)'/g)].map(([, type]) => type);
    expect(types.length).toBeGreaterThan(9);
    for (const type of types) expect(text).toContain(`\`${type}\``);
  });
});
