import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { AuthEntries } from '../../core/config/auth-file.ts';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { configurationError, type TranshipError } from '../../core/model/errors.ts';

/** A bundle of all public authorities is a quarter of this. */
const maxPemLength = 1024 * 1024;

/**
 * The entries with the certificates and keys that they name by path read in; PEM text stays as it is.
 *
 * @param directory where relative paths start: that of the auth file
 * @throws TranshipError `config-invalid` where a file cannot be read or is not PEM
 */
export async function readPemFiles(entries: AuthEntries, directory: string): Promise<AuthEntries> {
  const read = await Promise.all(
    [...entries].map(async ([name, entry]): Promise<[string, AuthEntry]> => {
      const texts: AuthEntry = {};
      for (const part of ['ca', 'cert', 'key'] as const) {
        const value = entry[part];
        if (value !== undefined) texts[part] = await pemText(value, { name, part, directory });
      }
      return [name, { ...entry, ...texts }];
    }),
  );
  return new Map(read);
}

async function pemText(value: string, where: { name: string; part: string; directory: string }): Promise<string> {
  if (isPem(value)) return value;
  const path = resolve(where.directory, value);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw fault(where, `the file ${path} cannot be read (${error.code ?? error.message})`);
  });
  if (text.length > maxPemLength || !isPem(text)) throw fault(where, `the file ${path} is not PEM`);
  return text;
}

function isPem(text: string): boolean {
  return text.includes('-----BEGIN ');
}

function fault(where: { name: string; part: string }, what: string): TranshipError {
  return configurationError(`${where.part} of ${where.name} in the auth file: ${what}`, {
    mend: 'name a PEM file; relative paths start at the auth file',
  });
}
