import { describe, expect, it } from 'vitest';
import type { AuthEntries } from '../../core/config/auth-file.ts';
import { fileCredentials } from '../../machine/credentials/file-credentials.ts';

const quay = { registry: 'quay.io', repository: 'team/app' };
const logins = (password: string): AuthEntries => new Map([['quay.io', { username: 'a', password }]]);

describe('logins of an auth file', () => {
  it('are read again when a registry refuses them, once for all who ask at the same time', async () => {
    let reads = 0;
    const credentials = fileCredentials(logins('old'), async () => {
      reads += 1;
      return logins('new');
    });
    expect(await credentials.lookup(quay)).toMatchObject({ password: 'old' });
    const refused = await Promise.all([0, 1, 2].map(() => credentials.lookup(quay, { fresh: true })));
    expect(refused.map((entry) => entry?.password)).toEqual(['new', 'new', 'new']);
    expect(await credentials.lookup(quay)).toMatchObject({ password: 'new' });
    expect(reads).toBe(1);
  });

  it('stay as they were while the file is written, and where it can be read only once', async () => {
    const warnings: string[] = [];
    const half = fileCredentials(logins('old'), async () => {
      throw new Error('auth.yaml:3:1: the text ends in the middle');
    });
    const options = { fresh: true, warn: (message: string) => warnings.push(message) };
    expect(await half.lookup(quay, options)).toMatchObject({ password: 'old' });
    expect(warnings).toEqual(['the auth file was not read again: auth.yaml:3:1: the text ends in the middle']);
    expect(await fileCredentials(logins('old')).lookup(quay, { fresh: true })).toMatchObject({ password: 'old' });
  });
});
