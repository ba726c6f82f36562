import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mayExist } from '../../cli/inputs/file-path.ts';
import { hasRules, resolveFiles, resolveLogins } from '../../cli/inputs/rule-files.ts';

const none = { config: undefined, auth: undefined, images: undefined, rules: undefined };
const present = (...files: string[]) => ({ exists: (path: string) => files.includes(path), isOwn: () => true });
/** Of these files, those of other programs are told by their names alone. */
const foreign = (...files: string[]) => ({ ...present(...files), isOwn: () => false });

describe('the files of a run', () => {
  it('are those of the flags', () => {
    const flags = { ...none, auth: 'a.json', images: 'i.yaml' };
    expect(resolveFiles(flags, present('a.json', 'i.yaml', 'images.json', 'auth.json'))).toEqual({
      rules: { path: 'i.yaml', kind: 'rules' },
      logins: { path: 'a.json', kind: 'logins' },
      warnings: [],
    });
  });

  it('are one file for --config, and what stands beside it has no effect, aloud', () => {
    const flags = { ...none, config: 'c.json', auth: 'a.json' };
    expect(resolveFiles(flags, present('c.json'))).toEqual({
      rules: { path: 'c.json', kind: 'config' },
      logins: { path: 'c.json', kind: 'config' },
      warnings: [expect.stringContaining('--auth')],
    });
  });

  it.each([
    [['auth.json', 'images.json'], 'images.json', 'auth.json'],
    [['auth.yaml', 'images.yml'], 'images.yml', 'auth.yaml'],
    [['tranship.yaml'], 'tranship.yaml', undefined],
    [['config.json', 'auth.json'], 'config.json', 'config.json'],
    [['image-syncer.json'], 'image-syncer.json', 'image-syncer.json'],
  ])('are found by name among %j', (files, rules, logins) => {
    const found = resolveFiles(none, present(...files));
    expect(found.rules.path).toBe(rules);
    expect(found.logins?.path).toBe(logins);
  });

  it('are not those of other programs, aloud', () => {
    const { rules, logins, warnings } = resolveFiles(none, foreign('tranship.yaml', 'config.json', 'auth.json'));
    expect([rules.path, logins]).toEqual(['tranship.yaml', undefined]);
    expect(warnings).toEqual([
      'config.json is passed over, as it has no rules or logins: if it is meant, give it with --config',
      'auth.json is passed over, as it has no logins by registry: if it is meant, give it with --auth',
    ]);
    expect(resolveLogins(none, foreign('config.yaml'))).toEqual({ logins: undefined, warnings: [expect.any(String)] });
    expect(resolveFiles({ ...none, images: 'i.yaml' }, foreign('i.yaml', 'config.json')).warnings).toEqual([]);
    expect(hasRules(none, foreign('config.json'))).toBe(false);
    expect(() => resolveFiles(none, foreign('config.json'))).toThrow(/no rules to go by; config.json is passed over/);
  });

  it("are without an auth file where --auth is empty: Docker's own logins are meant", () => {
    const flags = { ...none, auth: '' };
    expect(resolveFiles(flags, present('tranship.yaml', 'auth.yaml')).logins).toBeUndefined();
    expect(resolveFiles(flags, present('config.yaml')).logins).toBeUndefined();
    expect(resolveLogins(flags, present('config.yaml', 'auth.yaml')).logins).toBeUndefined();
  });

  it('have logins of their own beside a config file that was found', () => {
    const found = resolveFiles({ ...none, auth: 'a.json' }, present('config.json', 'a.json'));
    expect(found.logins).toEqual({ path: 'a.json', kind: 'logins' });
  });

  it.each([
    [none, [], 'there are no rules', '--rules'],
    [none, ['images.json', 'tranship.yaml'], 'tranship.yaml and images.json', '--rules'],
    [none, ['images.json', 'auth.json', 'auth.yml'], 'auth.json and auth.yml', '--auth'],
    [{ ...none, images: 'i.json' }, ['i.yaml'], 'no file i.json', 'i.yaml'],
    [{ ...none, rules: 'r.yaml', images: 'i.json' }, ['r.yaml', 'i.json'], '--rules and --images', 'one'],
  ])('of %j with %j are a mistake to mend', (flags, files, message, mend) => {
    const resolve = () => resolveFiles(flags, present(...files));
    expect(resolve).toThrow(message);
    expect(resolve).toThrow(expect.objectContaining({ class: 'configuration', mend: expect.stringContaining(mend) }));
  });

  it('are not said to be missing where something keeps this user from them', () => {
    const directory = mkdtempSync(join(tmpdir(), 'tranship-files-'));
    const loop = join(directory, 'loop.yaml');
    symlinkSync(loop, loop);
    expect([loop, join(directory, 'none.yaml'), directory].map(mayExist)).toEqual([true, false, true]);
    rmSync(directory, { recursive: true });
  });

  it.each([
    ['C:\\sync\\images.yaml', 'WSL has it at /mnt/c/sync/images.yaml'],
    ['sync\\images.yaml', 'Did you mean sync/images.yaml?'],
    ['images.json', 'Did you mean images.yaml?'],
    ['images.yaml\r', 'Did you mean images.yaml?'],
    ['gone.yaml\r', 'It ends with a carriage return (U+000D).'],
    ['https://example.com/images.yaml', 'Files are not downloaded'],
    ['file:///etc/images.yaml', 'Give its path: /etc/images.yaml'],
    ['gone.yaml', 'it is taken from the working directory'],
  ])('that are not there are told with what may be meant: %j', (images, mend) => {
    const resolve = () => resolveFiles({ ...none, images }, present('images.yaml', 'sync/images.yaml'));
    expect(resolve).toThrow(expect.objectContaining({ class: 'configuration', mend: expect.stringContaining(mend) }));
  });

  it('are logins alone where no rules are read', () => {
    const loginsOf = (...given: Parameters<typeof resolveLogins>) => resolveLogins(...given).logins;
    expect(loginsOf(none, present('auth.yaml', 'images.yaml'))).toEqual({ path: 'auth.yaml', kind: 'logins' });
    expect(loginsOf(none, present('config.yaml'))).toEqual({ path: 'config.yaml', kind: 'config' });
    expect(loginsOf(none, present('config.yaml', 'images.yaml'))).toBeUndefined();
    expect(loginsOf({ ...none, auth: 'x.json' }, present('x.json', 'auth.json'))?.path).toBe('x.json');
  });
});
