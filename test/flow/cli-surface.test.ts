import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { renderCompletion } from '../../cli/args/completion.ts';
import { commands, flagsOf } from '../../cli/args/flags.ts';

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
